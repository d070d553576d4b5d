"""The labeller on an engine that answers from a script: what is asked, what is kept, and what is not asked twice."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from r1ray.config.reward_model import StepLabelsConfig
from r1ray.generation.engine import Prompt, SamplingParams
from r1ray.reasoning.grading import Grader, is_correct
from r1ray.reasoning.steps import find_steps, token_char_ends
from r1ray.train.prefix_cache import Outcome, PrefixCache
from r1ray.train.step_labels import StepJudgements, StepLabeller
from r1ray.types import Completion, Problem, ReasoningStep, Rollout

PROBLEM = Problem(id="p", question="Mia has 9 eggs. Mia gets 7 more. Mia loses 5.", answer="11", level=2)
PROMPT = [1, 2, 3]
CONFIG = StepLabelsConfig(completions=4, rule="none", prefixes_per_batch=2)


def encode(text: str) -> list[int]:
    return [ord(letter) for letter in text]


def decode(ids: list[int]) -> str:
    return "".join(chr(token) for token in ids)


class ScriptedEngine:
    """Sample g of a prompt ends right while g is below what the script says for the prefix's last line."""

    def __init__(self, right: Mapping[str, int]) -> None:
        self.right, self.asked, self.seeds = right, list[str](), dict[str, int]()
        self.fail_after = 10**9

    @property
    def policy_version(self) -> int:
        return 0

    def generate(self, prompts: Sequence[Prompt], params: SamplingParams) -> list[list[Completion]]:
        if len(self.asked) >= self.fail_after:
            raise RuntimeError("killed")
        found = []
        for prompt in prompts:
            assert prompt.token_ids[: len(PROMPT)] == PROMPT
            text = decode(prompt.token_ids[len(PROMPT) :])
            self.asked.append(text)
            self.seeds[text] = prompt.seed
            right = self.right[text.splitlines()[-1]]
            found.append([self._completion(11 if sample < right else 12) for sample in range(prompt.samples)])
        return found

    def _completion(self, answer: int) -> Completion:
        ids = encode(f"\nAnswer: {answer}")
        return Completion(token_ids=ids, logprobs=[0.0] * len(ids), finish_reason="stop")

    def load_weights(self, weights: Mapping[str, torch.Tensor], version: int) -> None:
        raise AssertionError("not asked for here")

    def logprobs(self, prompt_ids: Sequence[Sequence[int]], response_ids: Sequence[Sequence[int]]) -> list[list[float]]:
        raise AssertionError("not asked for here")


def attempt(text: str) -> tuple[Rollout, list[ReasoningStep]]:
    ids = encode(text)
    completion = Completion(token_ids=ids, logprobs=[0.0] * len(ids), finish_reason="stop", text=text)
    rollout = Rollout(problem=PROBLEM, prompt_ids=PROMPT, completion=completion, policy_version=0)
    return rollout, find_steps(text, token_char_ends(decode, ids))


def labeller(
    engine: ScriptedEngine, config: StepLabelsConfig = CONFIG, cache: PrefixCache | None = None, policy: str = "w0"
) -> StepLabeller:
    grader = Grader()  # plain numbers are settled without a process

    def grade(problems: Sequence[Problem], texts: Sequence[str]) -> list[bool]:
        return is_correct(problems, texts, grader)

    return StepLabeller(engine, decode, grade, config, policy=policy, cache=cache)


def judge(engine: ScriptedEngine, *texts: str, config: StepLabelsConfig = CONFIG) -> list[StepJudgements]:
    rollouts, steps = zip(*map(attempt, texts), strict=True)
    return labeller(engine, config).judge(rollouts, steps)[0]


RIGHT = "1. 9 + 7 = 16\n2. 16 - 5 = 11\nAnswer: 11"
FALSE = "1. 9 + 7 = 16\n2. 16 - 5 = 12\nAnswer: 12"
SCRIPT = {"1. 9 + 7 = 16": 3, "2. 16 - 5 = 11": 4, "2. 16 - 5 = 12": 0}


def test_every_prefix_is_completed_from_the_sampled_ids() -> None:
    engine = ScriptedEngine(SCRIPT)
    (judged,) = judge(engine, RIGHT)
    assert engine.asked == ["1. 9 + 7 = 16", "1. 9 + 7 = 16\n2. 16 - 5 = 11"]
    assert judged.outcomes == [Outcome(right=3, samples=4), Outcome(right=4, samples=4)]
    assert judged.labels(replace(CONFIG, kind="soft")) == [0.75, 1.0]
    assert judged.labels(CONFIG) == [1.0, 1.0]


def test_a_prefix_that_two_solutions_share_is_completed_once() -> None:
    engine = ScriptedEngine(SCRIPT)
    right, false = judge(engine, RIGHT, FALSE)
    assert len(engine.asked) == 3
    assert right.outcomes[0] == false.outcomes[0]
    assert false.labels(CONFIG) == [1.0, 0.0]


def test_consensus_drops_a_lucky_false_step_and_an_unlucky_right_one() -> None:
    config = replace(CONFIG, rule="consensus")
    (lucky,) = judge(ScriptedEngine(SCRIPT | {"2. 16 - 5 = 12": 2}), FALSE, config=config)
    assert lucky.rule == [True, False]
    assert lucky.labels(config) == [1.0, None]
    (unlucky,) = judge(ScriptedEngine(SCRIPT | {"1. 9 + 7 = 16": 0}), RIGHT, config=config)
    assert unlucky.labels(config) == [None, 1.0]


def test_nothing_is_spent_after_a_step_that_the_rule_calls_false() -> None:
    engine = ScriptedEngine(SCRIPT)
    (judged,) = judge(
        engine, FALSE.replace("Answer", "3. 12 + 1 = 13\nAnswer"), config=replace(CONFIG, rule="consensus")
    )
    assert len(engine.asked) == 2
    assert judged.outcomes[2] is None


def test_a_preferred_rule_spends_nothing_where_it_decides() -> None:
    config = replace(CONFIG, rule="prefer")
    engine = ScriptedEngine({"So we add.": 1})
    (judged,) = judge(engine, "So we add.\n" + FALSE, config=config)
    assert engine.asked == ["So we add."]
    assert judged.rule == [None, True, False]
    assert judged.labels(config) == [1.0, 1.0, 0.0]


def test_labels_do_not_depend_on_order_or_batches() -> None:
    one, other = ScriptedEngine(SCRIPT), ScriptedEngine(SCRIPT)
    forwards = judge(one, RIGHT, FALSE, config=replace(CONFIG, prefixes_per_batch=1))
    backwards = judge(other, FALSE, RIGHT, config=replace(CONFIG, prefixes_per_batch=64))
    assert forwards == backwards[::-1]
    assert one.seeds == other.seeds
    assert len(set(one.seeds.values())) == 3


def test_a_killed_run_goes_on_where_it_was(tmp_path: Path) -> None:
    rollouts, steps = zip(*map(attempt, (RIGHT, FALSE)), strict=True)
    path, killed = tmp_path / "cache.jsonl", ScriptedEngine(SCRIPT)
    killed.fail_after = 2
    with pytest.raises(RuntimeError, match="killed"):
        labeller(killed, cache=PrefixCache(path)).judge(rollouts, steps)
    path.write_bytes(path.read_bytes() + b'{"key": "torn')
    resumed = ScriptedEngine(SCRIPT)
    judged, cost = labeller(resumed, cache=PrefixCache(path)).judge(rollouts, steps)
    assert (cost.prefixes, cost.cached, len(resumed.asked)) == (3, 2, 1)
    assert judged == judge(ScriptedEngine(SCRIPT), RIGHT, FALSE)


def test_another_policy_or_another_setting_is_sampled_anew() -> None:
    cache, (rollout, steps) = PrefixCache(), attempt(RIGHT)
    for config, policy, known in (
        (CONFIG, "w0", 0),
        (CONFIG, "w0", 2),
        (CONFIG, "w1", 0),
        (replace(CONFIG, temperature=0.5), "w0", 0),
        (replace(CONFIG, completions=5), "w0", 0),
        (replace(CONFIG, kind="soft", prefixes_per_batch=7), "w0", 2),  # says nothing about the completions
    ):
        _, cost = labeller(ScriptedEngine(SCRIPT), config, cache, policy).judge([rollout], [steps])
        assert cost.cached == known


def test_judgements_become_rows_of_a_step_dataset() -> None:
    (judged,) = judge(ScriptedEngine(SCRIPT), FALSE)
    row = judged.solution(CONFIG, answer_correct=False)
    assert row is not None
    assert (row.question, row.steps) == (PROBLEM.question, ("1. 9 + 7 = 16", "2. 16 - 5 = 12"))
    assert (row.labels, row.first_error, row.source) == ((1.0, 0.0), 1, "monte-carlo")


def test_a_solution_whose_every_label_is_contested_becomes_no_row() -> None:
    config = replace(CONFIG, rule="consensus")
    (judged,) = judge(ScriptedEngine({"1. 9 + 7 = 15": 4}), "1. 9 + 7 = 15", config=config)
    assert judged.solution(config) is None


def test_a_solution_without_steps_asks_nothing() -> None:
    engine = ScriptedEngine({})
    (judged,) = judge(engine, "Answer: 11")
    assert (engine.asked, judged.labels(CONFIG)) == ([], [])

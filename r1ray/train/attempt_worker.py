"""Samples solutions, grades and checks them and, where asked, labels their steps: what one Ray Data actor holds."""

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from r1ray.cluster.threads import set_threads
from r1ray.config.jobs import RewardModelJobConfig
from r1ray.config.policy import PolicyConfig
from r1ray.generation.engine import GenerationEngine, Prompt, SamplingParams
from r1ray.generation.factory import make_engine
from r1ray.models.loading import decoder, load_tokenizer
from r1ray.reasoning.grading import Grader, is_correct
from r1ray.reasoning.prompts import prompt_ids
from r1ray.reasoning.rewards import checked_steps, score_rollouts
from r1ray.train.attempts import Attempt, attempt_seed, to_row
from r1ray.train.prefix_cache import Outcome, PrefixCache
from r1ray.train.step_labels import StepLabeller
from r1ray.types import Problem, Rollout


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """Some problems that one actor works on at once."""

    name: str
    """`train-0003`; names its files."""
    problems: list[Problem]
    samples: int
    """Solutions of each."""
    label: bool
    """Whether the prefixes of their steps are completed too."""

    def row(self) -> dict[str, Any]:
        """As a row of a Ray dataset."""
        return {
            "name": self.name,
            "samples": self.samples,
            "label": self.label,
            "problems": json.dumps(list(map(asdict, self.problems))),
        }

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> "Task":
        """What `row` made."""
        problems = [Problem(**problem) for problem in json.loads(str(row["problems"]))]
        return cls(name=str(row["name"]), samples=int(row["samples"]), label=bool(row["label"]), problems=problems)


class AttemptWorker:
    """A rollout engine with the policy, a grader, the step checker and the labeller."""

    def __init__(
        self, config: RewardModelJobConfig, policy: PolicyConfig, policy_hash: str, folder: str, threads: int
    ) -> None:
        """
        Args:
            policy: who solves the problems; may be the cold-started `config.policy`.
            policy_hash: names its weights in the labeller's cache.
            folder: where the labeller keeps its outcomes, one file a task.
        """
        set_threads(threads)
        device = "cuda" if config.resources.rollout_gpus and torch.cuda.is_available() else "cpu"
        self._config, self._policy_hash, self._folder = config, policy_hash, Path(folder)
        self._engine: GenerationEngine = make_engine(config.engine, policy, device)
        self._tokenizer = load_tokenizer(policy.path)
        self._decode = decoder(self._tokenizer)
        self._grader = Grader(seconds=config.reward.grader_seconds, batch_seconds=config.reward.batch_seconds)

    def __call__(self, batch: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
        """One batch of task rows to as many rows with `attempts` (JSON), and what the labels cost."""
        rows = [dict(zip(batch, values, strict=True)) for values in zip(*batch.values(), strict=True)]
        done = [self._work(Task.of_row(row)) for row in rows]
        return {name: [row[name] for row in done] for name in done[0]}

    def _work(self, task: Task) -> dict[str, Any]:
        attempts = self.attempt(task.problems, task.samples)
        outcomes: list[tuple[Outcome | None, ...]] = [()] * len(attempts)
        prefixes = tokens = 0
        if task.label:
            labeller = StepLabeller(
                self._engine,
                self._decode,
                functools.partial(is_correct, grader=self._grader),
                self._config.step_labels,
                policy=self._policy_hash,
                cache=PrefixCache(self._folder / f"{task.name}.prefixes.jsonl"),
            )
            judged, cost = labeller.judge([a.rollout for a in attempts], [a.steps for a in attempts])
            outcomes = [tuple(one.outcomes) for one in judged]
            prefixes, tokens = cost.prefixes, cost.tokens
        rows = [
            to_row(Attempt(scored=attempt.scored, verdicts=attempt.verdicts, outcomes=found))
            for attempt, found in zip(attempts, outcomes, strict=True)
        ]
        return {"name": task.name, "attempts": json.dumps(rows), "prefixes": prefixes, "tokens": tokens}

    def attempt(self, problems: Sequence[Problem], samples: int) -> list[Attempt]:
        """`samples` graded and checked solutions of each problem, in order. The same for the same problem
        whatever else is asked."""
        config = self._config
        prompts = [
            Prompt(
                token_ids=prompt_ids(self._tokenizer, problem, config.problems.system),
                samples=samples,
                seed=attempt_seed(config.run.seed, problem.id),
            )
            for problem in problems
        ]
        params = SamplingParams(
            max_new_tokens=config.sampling.max_new_tokens,
            temperature=config.sampling.temperature,
            top_p=config.sampling.top_p,
            top_k=config.sampling.top_k,
        )
        rollouts = [
            Rollout(
                problem=problem, prompt_ids=prompt.token_ids, completion=completion, policy_version=0, sample=number
            )
            for problem, prompt, group in zip(problems, prompts, self._engine.generate(prompts, params), strict=True)
            for number, completion in enumerate(group)
        ]
        scored, _ = score_rollouts(
            rollouts, config.reward, self._decode, self._grader, max_new_tokens=config.sampling.max_new_tokens
        )
        return [
            Attempt(scored=one, verdicts=tuple(step.verdict.value for step in checked_steps(one.rollout, one.steps)))
            for one in scored
        ]

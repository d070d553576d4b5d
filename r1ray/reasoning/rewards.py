"""From rollouts to scored rollouts: every component on its own, then a weighted sum for each step and for the outcome.

step_scores[j] = w_step · checker[j] + w_process · process[j] + Σ w_f · f[j]        on step j's last token
outcome_reward = w_outcome · right + w_format · format + w_length · length + Σ w_f · f        on the last token
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import isfinite

from r1ray.config.reward import RewardConfig
from r1ray.errors import DataError
from r1ray.reasoning.checker import CheckedStep, StepVerdict, check_steps
from r1ray.reasoning.functions import UserFunction
from r1ray.reasoning.grading import Grader, grade_item
from r1ray.reasoning.steps import ANSWER_LINE, Decode, find_steps, token_char_ends
from r1ray.types import ReasoningStep, Rollout, ScoredRollout

_NUMBERED = re.compile(r"([0-9]{1,4})\. \S")
_ANSWER = re.compile(r"Answer: \S")


def format_score(rollout: Rollout) -> float:
    """1 for numbered steps, one a line and counted from 1, then one line `Answer: X` and nothing after it; else 0.

    There is no part credit to collect, and a completion that ran out of tokens gets none.
    """
    if rollout.completion.finish_reason != "stop":
        return 0.0
    *steps, last = rollout.completion.text.strip().split("\n")
    numbers = [int(found[1]) for line in steps if (found := _NUMBERED.match(line)) and not ANSWER_LINE.match(line)]
    in_order = bool(steps) and numbers == list(range(1, len(steps) + 1))
    return float(in_order and _ANSWER.match(last) is not None)


def length_penalty(length: int, limit: int, buffer: int) -> float:
    """DAPO's soft overlong punishment (arXiv 2503.14476, section 3.4, eq. 13), from 0 down to -1.

    Args:
        length: tokens of the completion.
        limit: L_max. From `limit - buffer` on, the punishment grows linearly; at the limit it is full.
        buffer: L_cache. 0 punishes only what is longer than the limit.
    """
    over = length - (limit - buffer)
    if over <= 0:
        return 0.0
    return -min(1.0, over / buffer) if buffer else -1.0


def checked_steps(
    rollout: Rollout, steps: Sequence[ReasoningStep], *, reuse_numbers: bool = False
) -> list[CheckedStep]:
    """The grounded checker's verdicts. A step that was cut off is not judged: its `= 1` may have become `= 16`."""
    texts = [step.text for step in steps]
    cut_off = rollout.completion.finish_reason != "stop" and steps and steps[-1].end == len(rollout.completion.text)
    if cut_off:
        texts[-1] = ""
    return check_steps(rollout.problem, texts, reuse_numbers=reuse_numbers)


def call_user_function(function: UserFunction, rollout: Rollout, steps: int) -> float | list[float]:
    """What a user's function says of one rollout.

    Raises:
        DataError: it raised, or returned something else than a finite number or one finite number for each step.
    """
    where = f"Reward function {function.name!r} on problem {rollout.problem.id}"
    try:
        value = function.call(rollout)
    except Exception as error:
        raise DataError(f"{where} raised {type(error).__name__}: {error}") from error
    try:
        if isinstance(value, (str, bytes, Mapping)):
            raise TypeError
        is_list = isinstance(value, Sequence) or getattr(value, "ndim", 0) > 0  # NumPy's and torch's arrays too
        per_step = [float(item) for item in value] if is_list else None
        scores = per_step if per_step is not None else [float(value)]
    except (TypeError, ValueError):
        raise DataError(
            f"{where} returned {value!r}; expected a float, or a list of one float for each step."
        ) from None
    if not all(map(isfinite, scores)):
        raise DataError(f"{where} returned {value!r}; expected finite numbers.")
    if per_step is not None and len(per_step) != steps:
        raise DataError(f"{where} returned {len(per_step)} step scores; the completion has {steps} steps.")
    return scores[0] if per_step is None else per_step


def combine(
    rollout: Rollout,
    steps: list[ReasoningStep],
    config: RewardConfig,
    *,
    correct: bool,
    checked: Sequence[float],
    process: Sequence[float] | None,
    formatted: float,
    length: float,
    user: Sequence[tuple[UserFunction, float | list[float]]] = (),
) -> ScoredRollout:
    """Weigh one rollout's components.

    Args:
        correct: whether the final answer is right.
        checked: the step checker's score of each step.
        process: the process reward model's score of each step, or `None` without one.
        formatted: `format_score`.
        length: `length_penalty`.
        user: the user's functions with what each returned.
    """
    components = {"outcome": float(correct), "step": sum(checked), "format": formatted, "length": length}
    outcome = config.outcome_weight * correct + config.format_weight * formatted + config.length_weight * length
    step_scores = [config.step_weight * score for score in checked]
    if process is not None:
        components["process"] = sum(process) / len(process) if process else 0.0
        step_scores = [total + config.process_weight * score for total, score in zip(step_scores, process, strict=True)]
    for function, value in user:
        if isinstance(value, list):
            components[function.name] = sum(value)
            step_scores = [total + function.weight * score for total, score in zip(step_scores, value, strict=True)]
        else:
            components[function.name] = value
            outcome += function.weight * value
    return ScoredRollout(
        rollout=rollout,
        steps=steps,
        step_scores=step_scores,
        outcome_reward=outcome,
        components=components,
        correct=correct,
    )


def score_rollouts(
    rollouts: Sequence[Rollout],
    config: RewardConfig,
    decode: Decode,
    grader: Grader,
    *,
    max_new_tokens: int,
    process_scores: Sequence[Sequence[float] | None] | None = None,
    functions: Sequence[UserFunction] = (),
) -> tuple[list[ScoredRollout], dict[str, int]]:
    """Score a batch of rollouts.

    Args:
        decode: token ids to text, without special tokens and without tidying up.
        grader: settles the final answers, at the deadlines that it was made with.
        max_new_tokens: the limit that completions were sampled under, for the length component.
        process_scores: of each rollout one score a step (the steps of `rollout_steps`), or `None`.
        functions: the user's rewards.

    Returns:
        The scored rollouts, whose completions carry their text, and counters over the batch: `truncated`,
        `grader_timeouts`, `grader_crashes`, and `steps_<verdict>` for each verdict of the step checker.
    """
    rollouts = [with_text(rollout, decode) for rollout in rollouts]
    report = grader.grade([grade_item(rollout.problem, rollout.completion.text) for rollout in rollouts])
    counters = Counter({f"steps_{verdict}": 0 for verdict in StepVerdict})
    scored = []
    for rollout, correct, process in zip(
        rollouts, report.correct, process_scores or [None] * len(rollouts), strict=True
    ):
        steps = rollout_steps(rollout, decode)
        checked = checked_steps(rollout, steps, reuse_numbers=config.reuse_numbers)
        counters.update(f"steps_{step.verdict}" for step in checked)
        counters["truncated"] += rollout.completion.finish_reason == "length"
        scored.append(
            combine(
                rollout,
                steps,
                config,
                correct=correct,
                checked=[step.score for step in checked],
                process=process,
                formatted=format_score(rollout),
                length=length_penalty(len(rollout.completion.token_ids), max_new_tokens, config.length_buffer),
                user=[(function, call_user_function(function, rollout, len(steps))) for function in functions],
            )
        )
    return scored, {**counters, "grader_timeouts": report.timeouts, "grader_crashes": report.crashes}


def with_text(rollout: Rollout, decode: Decode) -> Rollout:
    """The rollout with its completion's text, decoded from the sampled ids."""
    text = decode(list(rollout.completion.token_ids))
    return replace(rollout, completion=replace(rollout.completion, text=text))


def rollout_steps(rollout: Rollout, decode: Decode) -> list[ReasoningStep]:
    """The steps of a rollout that carries its text: the same for the process reward model and for the rewards."""
    return find_steps(rollout.completion.text, token_char_ends(decode, rollout.completion.token_ids))

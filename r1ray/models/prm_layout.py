"""What a process reward model reads: token ids, and the positions where it passes judgement on each step.

token_classification, separator   question step₁ ⏎ step₂ ⏎    label on the ⏎ after each step (TRL's PRMTrainer)
token_classification, step_end    question step₁ ⏎ step₂      label on the token that ends each step; a model with the
                                                              policy's tokenizer reads the policy's own ids instead
math_shepherd                     question step₁ ки step₂ ки  `+` against `-` as next token at each tag (2312.08935)
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

from transformers import PreTrainedTokenizerBase

from r1ray.errors import ModelError
from r1ray.types import ReasoningStep, Rollout

CONFIG_KEY = "r1ray_prm"
"""Key of the model's `config.json` under which a `ProcessRewardFormat` is stored."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ProcessRewardFormat:
    """How a process reward model was trained to read a solution."""

    style: Literal["token_classification", "math_shepherd"]
    position: Literal["separator", "step_end"] = "separator"
    """Where the label of a step was in training under `token_classification`: on the last token of the separator after
    it, or on the last token of the step itself, whatever follows (`reasoning.steps.step_end_indices`)."""
    separator: str = "\n"
    """Follows each step under `token_classification`."""
    step_tag: str = "ки"
    """Follows each step under `math_shepherd`, after a space."""
    candidates: tuple[str, str] = ("+", "-")
    """The right and the wrong mark under `math_shepherd`; one token each."""
    prompt: str = "{question}"
    """What stands before the first step, where the model encodes text of its own."""

    @classmethod
    def from_config(cls, values: dict[str, Any]) -> "ProcessRewardFormat":
        """The format stored in a model's config.

        Raises:
            ModelError: an unknown key or style.
        """
        known = {field.name for field in fields(cls)}
        if unknown := set(values) - known:
            raise ModelError(f"{CONFIG_KEY} has {', '.join(sorted(unknown))}; it may have {', '.join(sorted(known))}.")
        if values.get("style") not in ("token_classification", "math_shepherd"):
            raise ModelError(
                f"{CONFIG_KEY}.style is {values.get('style')!r}; expected token_classification or math_shepherd."
            )
        if values.get("position", "separator") not in ("separator", "step_end"):
            raise ModelError(f"{CONFIG_KEY}.position is {values['position']!r}; expected separator or step_end.")
        return cls(**{**values, "candidates": tuple(values.get("candidates", ("+", "-")))})


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoredSequence:
    """Ids to read, and where: `positions[s]` belongs to step s."""

    ids: list[int]
    positions: list[int]


def sampled_sequence(rollout: Rollout, steps: Sequence[ReasoningStep]) -> ScoredSequence:
    """The ids as the policy sampled them, judged at each step's last token."""
    start = len(rollout.prompt_ids)
    return ScoredSequence(
        ids=[*rollout.prompt_ids, *rollout.completion.token_ids], positions=[start + step.last_token for step in steps]
    )


def classified_sequence(
    rollout: Rollout, steps: Sequence[ReasoningStep], layout: ProcessRewardFormat, tokenizer: PreTrainedTokenizerBase
) -> ScoredSequence:
    """Question and steps encoded piece by piece, each step with its separator, as TRL's PRMTrainer lays them out."""
    after = layout.position == "separator"

    def encode(text: str) -> list[int]:
        return list(tokenizer.encode(text, add_special_tokens=False))

    ids = encode(layout.prompt.format(question=rollout.problem.question))
    if tokenizer.bos_token_id is not None:
        ids = [tokenizer.bos_token_id, *ids]
    separator, positions = encode(layout.separator), []
    for step in steps:
        ids += encode(step.text.strip())
        positions.append(len(ids) - 1 + (len(separator) if after else 0))
        ids += separator
    return ScoredSequence(ids=ids, positions=positions)


def tagged_sequence(
    rollout: Rollout, steps: Sequence[ReasoningStep], layout: ProcessRewardFormat, tokenizer: PreTrainedTokenizerBase
) -> ScoredSequence:
    """One text, `question step₁ ки⏎step₂ ки`, encoded at once; each tag is found by its characters, not by its id.

    A step that itself contains the tag is therefore still one step.
    """
    text = layout.prompt.format(question=rollout.problem.question) + " "
    ends = []
    for index, step in enumerate(steps):
        text += ("\n" if index else "") + f"{step.text.strip()} {layout.step_tag}"
        ends.append(len(text))
    encoded = tokenizer(text, return_offsets_mapping=True)
    spans: list[tuple[int, int]] = encoded["offset_mapping"]
    positions = [max(index for index, (start, stop) in enumerate(spans) if start < end <= stop) for end in ends]
    return ScoredSequence(ids=list(encoded["input_ids"]), positions=positions)

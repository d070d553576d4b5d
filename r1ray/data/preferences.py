"""Pairs of answers of which one is preferred: from HH, from UltraFeedback-like files, and from our own rollouts.

{"chosen": "\\n\\nHuman: …\\n\\nAssistant: …", "rejected": "…"}                              HH (Anthropic)
{"prompt": …, "chosen": text or messages, "rejected": …, "score_chosen": 8, …}             UltraFeedback, binarised
{"instruction": …, "completions": [{"response": …, "overall_score": 7.5}, …]}              UltraFeedback
{"conversations": […], "chosen": {"from": "gpt", "value": …}, "rejected": {…}}             ShareGPT
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from random import Random
from typing import Any

from r1ray.data.conversations import Message, chat_messages_of, check_turns, instruction_of, system_message
from r1ray.data.encoding import Tokenizer, encode, encode_response, prompt_text
from r1ray.data.sift import BadRow, list_field, text_field
from r1ray.types import ScoredRollout

_HH_TURN = re.compile(r"\n\n(Human|Assistant):")


@dataclass(frozen=True, kw_only=True, slots=True)
class PreferencePair:
    """Two answers to the same prompt, as text."""

    prompt: tuple[Message, ...]
    chosen: str
    rejected: str
    strength: float = 0.0
    """By how much the chosen answer was scored higher, in the file's own unit; 0 = not stated."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EncodedPair:
    """Two answers to the same prompt, as ids."""

    prompt_ids: list[int]
    chosen_ids: list[int]
    rejected_ids: list[int]
    strength: float
    group: str
    """Pairs of one prompt share it, and belong into one batch: spread over an epoch they overfit (InstructGPT, arXiv
    2203.02155 section 3.5)."""


def parse_pair(fields: Mapping[str, Any]) -> list[PreferencePair]:
    """The pairs of one row, whichever of the forms it has.

    Raises:
        BadRow: no form fits, or both answers are the same.
    """
    if "completions" in fields:
        return _rated_pairs(fields)
    if "conversations" in fields:
        turns = tuple(chat_messages_of(list_field(fields, "conversations")))
        return [_pair(turns, _answer(fields.get("chosen"), turns), _answer(fields.get("rejected"), turns))]
    if "prompt" not in fields and "instruction" not in fields:
        return [_hh_pair(text_field(fields, "chosen"), text_field(fields, "rejected"))]
    prompt = (*system_message(text_field(fields, "system", required=False)), _user(instruction_of(fields)))
    chosen, rejected = _answer(fields.get("chosen"), prompt), _answer(fields.get("rejected"), prompt)
    return [_pair(prompt, chosen, rejected, _strength(fields.get("score_chosen"), fields.get("score_rejected")))]


def encode_pair(pair: PreferencePair, tokenizer: Tokenizer) -> EncodedPair:
    """Ids of the prompt by the chat template, and of both answers with the token that ends them."""
    text = prompt_text(pair.prompt, tokenizer)
    return EncodedPair(
        prompt_ids=encode(text, tokenizer),
        chosen_ids=encode_response(pair.chosen, tokenizer),
        rejected_ids=encode_response(pair.rejected, tokenizer),
        strength=pair.strength,
        group=hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16],
    )


def pairs_from_rollouts(
    rollouts: Sequence[ScoredRollout], *, per_problem: int = 1, min_gap: float = 0.0, seed: int = 0
) -> list[EncodedPair]:
    """Pairs of a right and a wrong attempt at the same problem, on the ids that were sampled.

    Args:
        rollouts: of any number of problems, in any order.
        per_problem: most pairs of one problem; easy and hard problems alike have few, so none dominates.
        min_gap: least difference in `outcome_reward`.
        seed: which pairs are taken where there are more; the same for the same problem whatever else is there.
    """
    problems: dict[str, list[ScoredRollout]] = {}
    for scored in rollouts:
        problems.setdefault(scored.rollout.problem.id, []).append(scored)
    pairs: list[EncodedPair] = []
    for name in sorted(problems):
        possible: dict[tuple[tuple[int, ...], tuple[int, ...]], EncodedPair] = {}
        for one, other in combinations(problems[name], 2):
            if one.correct == other.correct:
                continue
            better, worse = (one, other) if one.correct else (other, one)
            gap = better.outcome_reward - worse.outcome_reward
            if gap < min_gap:
                continue
            chosen, rejected = (each.rollout.completion.token_ids for each in (better, worse))
            possible.setdefault(
                (tuple(chosen), tuple(rejected)),
                EncodedPair(
                    prompt_ids=list(better.rollout.prompt_ids),
                    chosen_ids=list(chosen),
                    rejected_ids=list(rejected),
                    strength=gap,
                    group=name,
                ),
            )
        ordered = [possible[key] for key in sorted(possible)]
        Random(f"{seed}/{name}").shuffle(ordered)
        pairs += ordered[:per_problem]
    return pairs


def _hh_pair(chosen: str, rejected: str) -> PreferencePair:
    """Two dialogues that differ in the last answer alone."""
    prompt, good = _hh_dialogue(chosen)
    other_prompt, bad = _hh_dialogue(rejected)
    if prompt != other_prompt:
        raise BadRow("prompts differ", "chosen and rejected must agree up to the last answer")
    return _pair(prompt, good, bad)


def _hh_dialogue(text: str) -> tuple[tuple[Message, ...], str]:
    pieces = _HH_TURN.split(text)
    if len(pieces) < 5 or pieces[0].strip():
        raise BadRow("not a dialogue", "expected turns that begin with a blank line and `Human:` or `Assistant:`")
    roles = ("user" if name == "Human" else "assistant" for name in pieces[1::2])
    messages = [Message(role=role, content=content.strip()) for role, content in zip(roles, pieces[2::2], strict=True)]
    if messages[-1].role != "assistant":
        raise BadRow("does not end with the assistant")
    return tuple(messages[:-1]), messages[-1].content


def _rated_pairs(fields: Mapping[str, Any]) -> list[PreferencePair]:
    """Every two completions with different scores, the higher one chosen."""
    prompt = (_user(instruction_of(fields)),)
    rated = []
    for completion in list_field(fields, "completions"):
        if not isinstance(completion, Mapping):
            raise BadRow("a completion is not an object", type(completion).__name__)
        score = completion.get("overall_score", completion.get("score"))
        if _is_number(score):
            rated.append((float(score), text_field(completion, "response", "text")))
    rated.sort(key=lambda entry: -entry[0])
    pairs = [
        _pair(prompt, good, bad, strength=high - low)
        for (high, good), (low, bad) in combinations(rated, 2)
        if high > low and good.strip() != bad.strip()
    ]
    if not pairs:
        raise BadRow("no two completions differ in score", f"{len(rated)} completions have one")
    return pairs


def _pair(prompt: tuple[Message, ...], chosen: str, rejected: str, strength: float = 0.0) -> PreferencePair:
    if chosen.strip() == rejected.strip():
        raise BadRow("both answers are the same")
    if not chosen.strip() or not rejected.strip():
        raise BadRow("an answer is empty")
    check_turns(prompt)
    if prompt[-1].role != "user":
        raise BadRow("turns out of order", "the prompt must end with the user's turn")
    if strength < 0:
        raise BadRow("the rejected answer scores higher", f"by {-strength:g}")
    return PreferencePair(prompt=prompt, chosen=chosen, rejected=rejected, strength=strength)


def _answer(value: Any, prompt: Sequence[Message]) -> str:
    """Text, one message, or the whole conversation of which the last message is the answer."""
    if isinstance(value, str):
        return value
    turns = chat_messages_of(value if isinstance(value, list) else [value])
    if not turns or turns[-1].role != "assistant":
        raise BadRow("an answer is not the assistant's")
    asked = [message for message in turns[:-1] if message.role != "system"]
    if asked and asked != [message for message in prompt if message.role != "system"]:
        raise BadRow("prompts differ", "the conversation of an answer is not that of the prompt")
    return turns[-1].content


def _strength(chosen: Any, rejected: Any) -> float:
    return float(chosen) - float(rejected) if _is_number(chosen) and _is_number(rejected) else 0.0


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value


def _user(content: str) -> Message:
    return Message(role="user", content=content)

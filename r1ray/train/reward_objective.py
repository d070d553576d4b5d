"""What reward models learn, as objectives of the supervised loop: judgements on steps, and preferences between answers.

A row is a prompt with everything that is known under it, so that its solutions share the prompt's computation and its
pairs come into one batch (InstructGPT, arXiv 2203.02155 section 3.5).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from r1ray.algorithms.length_bias import length_offset
from r1ray.algorithms.packing import PackedBatch, pack, token_places
from r1ray.algorithms.preference import bradley_terry_loss, centering_loss, pairs_right
from r1ray.algorithms.step_loss import step_loss, steps_right, three_way_targets, two_way_targets
from r1ray.config.reward_model import PreferenceConfig
from r1ray.data.labelled_steps import EncodedSteps
from r1ray.data.preferences import EncodedPair
from r1ray.errors import DataError
from r1ray.metrics.reductions import Mean, Metric
from r1ray.train.engine import TrainEngine

WHOLE = 10**9
"""Token limit of a micro-batch that has been cut to size already."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StepBatch:
    """Solutions of one or more prompts, and the steps in them that are judged."""

    packed: PackedBatch
    places: Int[Tensor, " N"]
    targets: Float[Tensor, "N C"]


class ProcessObjective:
    """Cross-entropy at the last token of every labelled step (`algorithms.step_loss`)."""

    def __init__(self, rows: Mapping[str, Sequence[EncodedSteps]], *, classes: int, max_tokens: int) -> None:
        """
        Args:
            rows: by their id, the labelled solutions of one prompt.
            classes: 2, or 3 where every label has a rating.
            max_tokens: of a micro-batch.
        """
        self._rows, self._classes, self._max_tokens = rows, classes, max_tokens
        if classes == 3 and any(not solution.ratings for group in rows.values() for solution in group):
            raise DataError(
                "process.classes is 3 and some solutions have labels without PRM800K's ratings: give files of that "
                "dataset alone, or set process.classes 2."
            )

    def microbatches(self, rows: Sequence[str]) -> list[StepBatch]:
        """This rank's rows, cut up."""
        solutions = [(row, solution) for row in rows for solution in self._rows[row]]
        parts = cut_up(
            [
                (row, solution.prompt_tokens, len(solution.token_ids) - solution.prompt_tokens)
                for row, solution in solutions
            ],
            self._max_tokens,
        )
        return [self._batch([solutions[index] for index in part]) for part in parts]

    def idle(self) -> StepBatch:
        """Two tokens, one judged."""
        solution = EncodedSteps(token_ids=[0, 0], prompt_tokens=1, positions=[1], labels=[1.0], ratings=[1])
        return self._batch([("idle", solution)])

    def count(self, batch: StepBatch) -> float:
        """Labelled steps."""
        return float(len(batch.places))

    def loss(self, engine: TrainEngine, batch: StepBatch) -> tuple[Tensor, dict[str, Metric]]:
        """The sum over labelled steps, and how many get the class that their label makes likeliest."""
        packed, targets = batch.packed.to(engine.device), batch.targets.to(engine.device)
        logits = engine.forward(packed, batch.places.to(engine.device)).logits
        everything = torch.ones(len(targets), dtype=torch.bool, device=engine.device)
        right = float(steps_right(logits.detach(), targets, everything))
        figures: dict[str, Metric] = {"train/steps_right": Mean(right / len(targets), len(targets))}
        return step_loss(logits, targets, everything, 1.0), figures

    def _batch(self, solutions: Sequence[tuple[str, EncodedSteps]]) -> StepBatch:
        prompts = [solution.token_ids[: solution.prompt_tokens] for _, solution in solutions]
        [packed] = pack(
            prompts,
            [solution.token_ids[solution.prompt_tokens :] for _, solution in solutions],
            group=_same(prompts),
            max_tokens=WHOLE,
        )
        judged = [
            (index, position - solution.prompt_tokens)
            for index, (_, solution) in enumerate(solutions)
            for position in solution.positions
        ]
        if self._classes == 3:
            targets = three_way_targets(torch.tensor([rating for _, s in solutions for rating in s.ratings]))
        else:
            targets = two_way_targets(torch.tensor([label for _, s in solutions for label in s.labels]))
        places = token_places(packed, [index for index, _ in judged], [token for _, token in judged])
        return StepBatch(packed=packed, places=places, targets=targets)


@dataclass(frozen=True, kw_only=True, slots=True)
class PairBatch:
    """P pairs of answers, two responses each."""

    packed: PackedBatch
    margins: Float[Tensor, " P"]
    lengths: Float[Tensor, "P 2"]
    """Tokens of the chosen and of the rejected answer."""


class PreferenceObjective:
    """Bradley-Terry at the last token of both answers (`algorithms.preference`)."""

    def __init__(self, rows: Mapping[str, Sequence[EncodedPair]], config: PreferenceConfig, *, max_tokens: int) -> None:
        """`rows`: by their id, the pairs of one prompt."""
        self._rows, self._config, self._max_tokens = rows, config, max_tokens
        differences = [
            float(len(pair.chosen_ids) - len(pair.rejected_ids)) for group in rows.values() for pair in group
        ]
        spread = torch.tensor(differences, dtype=torch.float64).std(correction=0) if differences else torch.tensor(0.0)
        self._length_scale = float(spread) or 1.0

    def microbatches(self, rows: Sequence[str]) -> list[PairBatch]:
        """This rank's rows, cut up; both answers of a pair stay together."""
        pairs = [(row, pair) for row in rows for pair in self._rows[row]]
        sizes = [(row, len(p.prompt_ids), len(p.chosen_ids) + len(p.rejected_ids)) for row, p in pairs]
        return [self._batch([pairs[index] for index in part]) for part in cut_up(sizes, self._max_tokens)]

    def idle(self) -> PairBatch:
        """A pair of one token each."""
        pair = EncodedPair(prompt_ids=[0], chosen_ids=[0], rejected_ids=[0], strength=0.0, group="idle")
        return self._batch([("idle", pair)])

    def count(self, batch: PairBatch) -> float:
        """Pairs."""
        return float(len(batch.margins))

    def loss(self, engine: TrainEngine, batch: PairBatch) -> tuple[Tensor, dict[str, Metric]]:
        """The sum over pairs, and how many are ordered as labelled."""
        packed, config = batch.packed.to(engine.device), self._config
        output = engine.forward(packed, packed.tails)
        scores = torch.empty_like(output.logits[:, 0]).index_copy(0, packed.tail_sequence, output.logits[:, 0])
        chosen, rejected = scores[0::2], scores[1::2]
        everything = torch.ones(len(chosen), dtype=torch.bool, device=engine.device)
        offset: Tensor | float = 0.0
        if output.length_weight is not None:
            lengths = batch.lengths.to(engine.device)
            offset = output.length_weight * length_offset(lengths[:, 0], lengths[:, 1], self._length_scale)
        loss = bradley_terry_loss(
            chosen,
            rejected,
            everything,
            1.0,
            margin=config.margin * batch.margins.to(engine.device),
            offset=offset,
            label_smoothing=config.label_smoothing,
        )
        if config.centering:
            loss = loss + config.centering * centering_loss(chosen, rejected, everything, 1.0)
        count = len(chosen)
        right = float(pairs_right(chosen.detach(), rejected.detach(), everything))
        return loss, {"train/pairs_right": Mean(right / count, count)}

    def _batch(self, pairs: Sequence[tuple[str, EncodedPair]]) -> PairBatch:
        prompts = [pair.prompt_ids for _, pair in pairs for _ in range(2)]
        answers = [ids for _, pair in pairs for ids in (pair.chosen_ids, pair.rejected_ids)]
        [packed] = pack(prompts, answers, group=_same(prompts), max_tokens=WHOLE)
        return PairBatch(
            packed=packed,
            margins=torch.tensor([pair.strength for _, pair in pairs]),
            lengths=torch.tensor([float(len(ids)) for ids in answers]).view(-1, 2),
        )


def _same(prompts: Sequence[Sequence[int]]) -> list[int]:
    """A number for each prompt, the same for the same ids."""
    numbers: dict[tuple[int, ...], int] = {}
    return [numbers.setdefault(tuple(prompt), len(numbers)) for prompt in prompts]


def cut_up(items: Sequence[tuple[str, int, int]], max_tokens: int) -> list[list[int]]:
    """Indices of items, in order, in parts of at most `max_tokens` tokens; an item that is longer is a part by itself.

    Args:
        items: (prompt's name, its tokens, tokens beside it); items that follow each other share their prompt.
    """
    parts: list[list[int]] = []
    load, last = 0, ""
    for index, (name, prompt, own) in enumerate(items):
        added = own if parts and name == last else own + prompt
        if parts and load + added <= max_tokens:
            parts[-1].append(index)
            load += added
        else:
            parts.append([index])
            load = prompt + own
        last = name
    return parts

"""The saved reward model, examined as those will use it who load it: figures, reliability, notes."""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, cast

import torch

from r1ray.algorithms.length_bias import LengthCorrection, fit_correction
from r1ray.calibration import ReliabilityBin
from r1ray.config.jobs import RewardModelJobConfig
from r1ray.data.preferences import EncodedPair
from r1ray.models.loading import load_tokenizer
from r1ray.models.preference_reward import CONFIG_KEY, PreferenceRewardModel
from r1ray.models.process_reward import ProcessRewardModel
from r1ray.reasoning.best_of_n import Aggregate
from r1ray.runs import Run
from r1ray.runs.files import write_json
from r1ray.train.attempts import Attempt
from r1ray.train.preference_evaluation import examine_pairs
from r1ray.train.process_evaluation import Judged, candidate_groups, choose_threshold, examine, judge_attempts
from r1ray.train.reward_rows import Examinee, Material

EXAMINATION = "examination.json"
"""File of the run with every figure and the reliability bins; the report draws them."""


class Examiner:
    """Loads `model/` of a run and writes `examination.json`."""

    def __init__(self, config: RewardModelJobConfig, run: Run, note: Callable[[str], None]) -> None:
        self._config, self._run, self._note = config, run, note
        self._device = "cuda" if torch.cuda.is_available() else "cpu"

    def examine(self, material: Material) -> dict[str, Any]:
        """The summary of the run: `metric`, `value`, `baseline`, and every other figure."""
        if self._config.reward_model.kind == "process":
            return self._process(material)
        return self._preference(material)

    def _process(self, material: Material) -> dict[str, Any]:
        config = self._config
        tokenizer = load_tokenizer(config.policy.path)
        model = ProcessRewardModel.from_path(str(self._run.folder), self._device, policy_tokenizer=tokenizer)

        def judged(examinees: Sequence[Examinee]) -> list[Judged]:
            scores = model.score([one.rollout for one in examinees], [one.steps for one in examinees])
            return [
                Judged(scores=found, first_error=one.first_error) for one, found in zip(examinees, scores, strict=True)
            ]

        def scored(attempts: Sequence[Attempt]) -> list[list[float]]:
            return model.score([one.rollout for one in attempts], [one.steps for one in attempts])

        watched, _ = judge_attempts(material.validation_attempts, scored(material.validation_attempts))
        threshold = choose_threshold([*judged(material.validation_examinees), *watched], config.process)
        scores = scored(material.heldout_attempts)
        held, undecided = judge_attempts(material.heldout_attempts, scores)
        aggregate = cast(Aggregate, config.process.aggregate)
        result = examine(
            [*judged(material.heldout_examinees), *held],
            threshold,
            bins=config.reward_model.bins,
            undecided=undecided + material.undecided,
            groups=candidate_groups(material.heldout_attempts, scores, config.process.best_of, aggregate),
        )
        self._note(
            f"First error on {result.solutions} held-out solutions: F1 {result.model.f1:.3f} (guessing "
            f"{result.random.f1:.3f}, majority {result.majority.f1:.3f}), accuracy {result.model.accuracy:.1%} "
            f"(majority {result.majority.accuracy:.1%}); calibration error {result.calibration_error:.3f}."
        )
        if (best := result.best_of) is not None:
            self._note(
                f"Best of {config.process.best_of}: {best.chosen:.1%} by the model, {best.majority:.1%} by vote, "
                f"{best.first:.1%} at random, {best.oracle:.1%} at best."
            )
        if math.isnan(result.model.f1):  # without erroneous, or without correct, solutions there is none
            guess = max(result.majority.accuracy, result.random.accuracy)
            headline = ("first_error_accuracy", result.model.accuracy, guess)
        else:
            headline = ("first_error_f1", result.model.f1, result.baseline)
        return self._keep(*headline, result.figures(), result.reliability)

    def _preference(self, material: Material) -> dict[str, Any]:
        config, settings = self._config, self._config.preference
        model = PreferenceRewardModel.from_path(str(self._run.folder), self._device)
        plain = PreferenceRewardModel(model.network, correction=None)

        def scores(pairs: Sequence[EncodedPair]) -> tuple[list[float], list[float]]:
            prompts = [pair.prompt_ids for pair in pairs]
            return (
                plain.score(prompts, [pair.chosen_ids for pair in pairs]),
                plain.score(prompts, [pair.rejected_ids for pair in pairs]),
            )

        correction: LengthCorrection | None = None
        watched = [pair for group in material.parts.validation.values() for pair in group]
        if settings.length_correction == "posthoc" and watched:
            chosen, rejected = scores(watched)
            lengths = ([len(pair.chosen_ids) for pair in watched], [len(pair.rejected_ids) for pair in watched])
            correction = fit_correction(chosen, rejected, *lengths)
            self._store(correction)
        chosen, rejected = scores(material.heldout_pairs)
        bins = config.reward_model.bins
        result = examine_pairs(material.heldout_pairs, chosen, rejected, bins=bins, correction=correction)
        figures = result.figures()
        if correction is not None:
            before = examine_pairs(material.heldout_pairs, chosen, rejected, bins=bins)
            figures |= {"length_slope": correction.slope, "pair_accuracy_uncorrected": before.accuracy}
            figures |= {"length_correlation_uncorrected": before.bias.correlation}
        self._note(
            f"{result.pairs} held-out pairs: {result.accuracy:.1%} ordered as labelled (the longer answer "
            f"{result.longer_accuracy:.1%}); calibration error {result.calibration_error:.3f}; score and length "
            f"correlate {result.bias.correlation:+.2f}."
        )
        return self._keep("pair_accuracy", result.accuracy, result.baseline, figures, result.reliability)

    def _store(self, correction: LengthCorrection) -> None:
        """Beside the weights, where whoever loads them finds it."""
        path = self._run.model_path / "config.json"
        write_json(path, json.loads(path.read_text(encoding="utf-8")) | {CONFIG_KEY: asdict(correction)})

    def _keep(
        self, metric: str, value: float, baseline: float, figures: dict[str, float], bins: Sequence[ReliabilityBin]
    ) -> dict[str, Any]:
        finite = {name: None if figure != figure else figure for name, figure in figures.items()}
        write_json(self._run.folder / EXAMINATION, {"figures": finite, "reliability": [asdict(one) for one in bins]})
        others = {name: figure for name, figure in finite.items() if name != metric}
        return {"metric": metric, "value": value, "baseline": baseline, **others}

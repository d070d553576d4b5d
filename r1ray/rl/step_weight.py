"""The weight of the step reward, adapted while PPO runs: what the held-out gain under each weight says of the next."""

import warnings
from collections.abc import Mapping
from typing import Any

from r1ray.config.reward import RewardConfig

NAME = "step_weight"
MEMORY = 16
"""Gains that are remembered: the newest. What a weight was worth early in training says little later."""
SPREAD = 3
"""Weights that are tried before the optimiser has anything to say."""


class StepWeight:
    """Bayesian optimisation of one number, online (bayesian-optimization's `suggest` and `register`).

    Every `reward.adapt_every` steps `observe` takes the accuracy on problems that are neither trained on nor part of
    any other evaluation. The gain since the last time is what the weight in use was worth. A loss rolls the weight back
    to the last one under which accuracy did not fall; otherwise the optimiser proposes the next, within
    `reward.adapt_range`. A proposal follows from the gains and the seed alone, so a resumed run makes the same.
    """

    def __init__(self, config: RewardConfig, seed: int) -> None:
        self._low, self._high = config.adapt_range
        self._seed = seed
        self.value = config.step_weight
        """In use now."""
        self._safe = config.step_weight
        self._accuracy: float | None = None
        self._gains: list[tuple[float, float]] = []
        self._proposed = 0

    def observe(self, accuracy: float) -> dict[str, float]:
        """Take an accuracy, settle the weight of the next steps, and say so in figures."""
        figures = {"evaluation/probe_accuracy": accuracy}
        if self._accuracy is not None:
            gain = accuracy - self._accuracy
            self._gains = [*self._gains, (self.value, gain)][-MEMORY:]
            figures["ppo/step_weight_gain"] = gain
            if gain < 0 and self.value != self._safe:
                self.value = self._safe
                figures["ppo/step_weight_rolled_back"] = 1.0
            else:
                self._safe = self.value if gain >= 0 else self._safe
                self.value = self._propose()
                figures["ppo/step_weight_rolled_back"] = 0.0
        self._accuracy = accuracy
        figures["ppo/step_weight"] = self.value
        return figures

    def state_dict(self) -> dict[str, Any]:
        """All that the next proposals depend on, as JSON can hold it."""
        return {
            "value": self.value,
            "safe": self._safe,
            "accuracy": self._accuracy,
            "gains": [list(pair) for pair in self._gains],
            "proposed": self._proposed,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken."""
        self.value, self._safe, self._accuracy = state["value"], state["safe"], state["accuracy"]
        self._gains = [(float(weight), float(gain)) for weight, gain in state["gains"]]
        self._proposed = state["proposed"]

    def _propose(self) -> float:
        from bayes_opt import BayesianOptimization  # here: it imports scikit-learn, and few runs adapt anything
        from bayes_opt.acquisition import ExpectedImprovement

        number, self._proposed = self._proposed, self._proposed + 1
        if number < SPREAD:  # evenly over the range, beginning with the end that is further away
            places = [self._low, self._high, (self._low + self._high) / 2]
            return sorted(places, key=lambda place: -abs(place - self._gains[0][0]))[number]
        optimiser = BayesianOptimization(
            f=None,
            acquisition_function=ExpectedImprovement(xi=0.0),
            pbounds={NAME: (self._low, self._high)},
            random_state=self._seed + number,
            verbose=0,
            allow_duplicate_points=True,
        )
        optimiser.set_gp_params(alpha=0.1)  # of the gains' variance: an accuracy on few problems is noisy
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a fit to few points
            for weight, gain in self._gains:
                optimiser.register(params={NAME: weight}, target=gain)
            found = float(optimiser.suggest()[NAME])
        return min(max(found, self._low), self._high)

"""Tests of a mean that may be looked at after every observation: the wealth of a gambler who bets against a hypothesis.

Under the hypothesis the wealth is a supermartingale from 1 on, so it ever reaches 1/α with probability α at most (Ville
1939): no correction for looking often, no assumption on the distribution but its bounds. Waudby-Smith and Ramdas,
"Estimating means of bounded random variables by betting", arXiv 2010.09686, section 4; bets as in section B.3 (aGRAPA).
"""

import math


class MeanTest:
    """Evidence that the mean of observations in [0, 1] is above `null`.

    Args:
        null: the largest mean that the hypothesis allows, below 1.
        alpha: probability, at most, of rejecting it although it holds.
    """

    def __init__(self, null: float, alpha: float) -> None:
        self._null, self._threshold = null, -math.log(alpha)
        self._count = 0
        # One imagined observation of mean 1/2 and variance 1/4, so that the first bets are small.
        self._sum, self._square = 0.5, 0.25
        self.log_wealth = 0.0
        self.rejects = False
        """Whether the wealth has ever reached 1/α."""

    def add(self, value: float) -> None:
        """One more observation; what is outside of [0, 1] is cut."""
        value = min(1.0, max(0.0, value))
        # The bet is laid before the value is known. Three quarters of what could be lost at most are ever staked.
        limit = 0.75 / self._null if self._null > 0 else math.inf
        mean, variance = self._sum / (self._count + 1), self._square / (self._count + 1)
        excess = mean - self._null
        bet = min(limit, max(0.0, excess / (variance + excess * excess)))
        self.log_wealth += math.log1p(bet * (value - self._null))
        self._count += 1
        self._sum += value
        self._square += (value - self._sum / (self._count + 1)) ** 2
        self.rejects = self.rejects or self.log_wealth >= self._threshold


class TwoSided:
    """Evidence for either side of a question on the mean of values in [low, high]: is it too low, or high enough?

    Args:
        low, high: bounds of the values.
        good: the mean is good enough if it is above this; `promotes` has proved that.
        bad: the mean is too low if it is below this; `condemns` has proved that. `good <= bad`.
        alpha: probability, at most, of `promotes` where the mean is `good` or lower.
        beta: probability, at most, of `condemns` where the mean is `bad` or higher.
    """

    def __init__(self, low: float, high: float, *, good: float, bad: float, alpha: float, beta: float) -> None:
        self._low, self._range = low, high - low
        self._above = MeanTest((good - low) / self._range, alpha)
        self._below = MeanTest((high - bad) / self._range, beta)
        self.count = 0

    def add(self, value: float) -> None:
        """One more value."""
        scaled = (value - self._low) / self._range
        self._above.add(scaled)
        self._below.add(1.0 - scaled)
        self.count += 1

    @property
    def promotes(self) -> bool:
        """Good enough, as far as `alpha` goes."""
        return self._above.rejects

    @property
    def condemns(self) -> bool:
        """Too low, as far as `beta` goes."""
        return self._below.rejects

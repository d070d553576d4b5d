"""`mixing`: between a feature row and a near one of its class (SMOTE, arXiv 1106.1813)."""

import math
from collections.abc import Mapping, Sequence
from random import Random

from r1ray.data.augment.variant import Edit, Inapplicable, Operator, Row, each

NEIGHBOURS = 5
"""Near rows of which one is drawn."""


def mixing(pool: Sequence[Row]) -> Operator:
    """An operator that mixes `features` of a row with those of rows of the pool that have its `label`.

    A variant is a function of the row, the seed and the pool: give the same pool wherever partitions are worked on.
    Distances are Euclidean with every feature divided by its standard deviation over the pool.
    """
    points: dict[object, list[tuple[Row, dict[str, float]]]] = {}
    for row in pool:
        if features := _features(row):
            points.setdefault(row.get("label"), []).append((row, features))
    scales = _scales([features for members in points.values() for _, features in members])

    def make(row: Row, stream: Random) -> Edit:
        own = _features(row)
        if not own:
            raise Inapplicable("no features")
        others = [
            (_distance(own, features, scales), str(other.get("id", "")), features)
            for other, features in points.get(row.get("label"), [])
            if features.keys() == own.keys() and features != own
        ]
        if not others:
            raise Inapplicable("no other row of its class")
        near = sorted(others, key=lambda other: other[:2])[:NEIGHBOURS]
        _, _, other = stream.choice(near)
        share = stream.random()
        mixed = {name: value + share * (other[name] - value) for name, value in own.items()}
        inside = all(min(own[name], other[name]) <= mixed[name] <= max(own[name], other[name]) for name in own)
        return Edit(
            fields={"features": mixed},
            check="unverified" if inside else "rejected",
            reason="between two rows of its class" if inside else "outside of the two rows",
        )

    return each(make)


def _features(row: Row) -> dict[str, float]:
    features = row.get("features")
    if not isinstance(features, Mapping):
        return {}
    return {str(name): float(value) for name, value in features.items() if isinstance(value, int | float)}


def _scales(points: Sequence[dict[str, float]]) -> dict[str, float]:
    scales = {}
    for name in {name for point in points for name in point}:
        values = [point[name] for point in points if name in point]
        mean = math.fsum(values) / len(values)
        scales[name] = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values)) or 1.0
    return scales


def _distance(one: dict[str, float], other: dict[str, float], scales: dict[str, float]) -> float:
    return math.fsum(((value - other[name]) / scales.get(name, 1.0)) ** 2 for name, value in one.items())

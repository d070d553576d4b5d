"""Metrics of several processes as one page of Prometheus' format."""

from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from typing import TypeAlias

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

Page: TypeAlias = Sequence[Metric]
"""What one registry collects."""


def as_one(pages: Iterable[Page]) -> bytes:
    """Counters and histograms of all add up, a gauge is what the last page says.

    Args:
        pages: of each process, the one that was heard last at the end. A process that is no more keeps its page: what
            it counted has happened.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Pages(list(pages)))
    return generate_latest(registry)


class _Pages(Collector):
    def __init__(self, pages: Sequence[Page]) -> None:
        self._pages = pages

    def collect(self) -> Iterator[Metric]:
        families: dict[str, list[Metric]] = {}
        for page in self._pages:
            for family in page:
                families.setdefault(family.name, []).append(family)
        for same in families.values():
            yield _joined(same)


def _joined(families: Sequence[Metric]) -> Metric:
    found: dict[tuple[object, ...], Sample] = {}
    for family in families:
        for sample in family.samples:
            key = (sample.name, *sorted(sample.labels.items()))
            before = found.get(key)
            value = sample.value
            if before is not None and sample.name.endswith("_created"):  # when the first of them began
                value = min(value, before.value)
            elif before is not None and family.type != "gauge":
                value += before.value
            found[key] = sample._replace(value=value)
    joined = copy(families[-1])
    joined.samples = list(found.values())
    return joined

"""Figures that a run writes down: each carries its own reduction, and sinks take the reduced ones."""

from r1ray.metrics.reductions import Last, Max, Mean, Metric, Min, Sum, merge_all, reduce_all

__all__ = ["Last", "Max", "Mean", "Metric", "Min", "Sum", "merge_all", "reduce_all"]

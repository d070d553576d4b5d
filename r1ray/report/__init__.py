"""What a run looked like, as one HTML file that opens anywhere: no scripts, no network."""

from r1ray.report.render import render_report
from r1ray.report.samples import SampledStep, SampleRow, append_samples, read_samples

__all__ = ["SampleRow", "SampledStep", "append_samples", "read_samples", "render_report"]

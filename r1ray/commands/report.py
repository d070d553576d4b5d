"""`r1ray report runs/x`: write a run's report.html again."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import tyro

from r1ray.report import render_report
from r1ray.runs import Run


@dataclass(frozen=True)
class ReportArguments:
    """Write a run's report.html again, from what is in its folder now."""

    run: Annotated[str, tyro.conf.Positional]
    """Run folder or URI."""


def main(arguments: Sequence[str]) -> None:
    """Parse, render, print the path."""
    run = Run.open(tyro.cli(ReportArguments, args=arguments, prog="r1ray report").run)
    path = render_report(run.folder)
    run.sync()
    print(path)

"""`r1ray lineage runs/x`: where a run's models came from, back to the first one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import tyro
from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from r1ray.runs import Run
from r1ray.runs.lineage import Ancestor, lineage

STATES = {
    "intact": Text("  unchanged since", style="green"),
    "changed": Text("  CHANGED since: not what the run started from", style="bold red"),
    "missing": Text("  no longer there", style="yellow"),
    "named": Text("  by name; no hash", style="dim"),
}


@dataclass(frozen=True)
class LineageArguments:
    """Print where a run's models came from, and whether they are still what they were."""

    run: Annotated[str, tyro.conf.Positional]
    """Run folder or URI."""


def main(arguments: Sequence[str]) -> None:
    """Parse, read the manifests, print a tree."""
    run = Run.open(tyro.cli(LineageArguments, args=arguments, prog="r1ray lineage").run)
    Console().print(tree(lineage(run.folder)))


def tree(ancestor: Ancestor) -> Tree:
    """The chain as a tree: each run above what it started from."""
    branch = Tree(_label(ancestor))
    for parent in ancestor.parents:
        branch.add(tree(parent))
    return branch


def _label(ancestor: Ancestor) -> Text:
    label = Text()
    if ancestor.role:
        label.append(f"{ancestor.role}: ", style="cyan")
    label.append(ancestor.path, style="bold")
    if ancestor.role:
        label.append_text(STATES[ancestor.state])
    if made_by := ancestor.manifest:
        facts = [
            made_by["job"],
            made_by["status"],
            made_by["started"][:16].replace("T", " "),
            f"seed {made_by['seed']}",
        ]
        facts += [f"{key} {value}" for key, value in made_by.get("summary", {}).items() if key.startswith("accuracy")]
        if commit := made_by.get("git_commit"):
            facts.append(f"commit {commit[:10]}")
        label.append("\n" + " · ".join(facts), style="dim")
    return label

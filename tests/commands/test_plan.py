"""Which configuration `r1ray plan` starts from."""

from pathlib import Path

import pytest

from r1ray.commands.plan import default_config, main
from r1ray.config.jobs import EvaluateJobConfig
from r1ray.errors import ConfigError


def test_the_plan_of_an_sft_job_counts_its_steps_and_its_memory(capsys: pytest.CaptureFixture[str]) -> None:
    main(["sft", "--sft.examples", "100", "--sft.batch", "8", "--sft.epochs", "2", "--resources.learners", "3"])
    said = capsys.readouterr().out
    assert "optimizer steps" in said and " 26 " in said  # 13 an epoch
    assert "3 × ZeRO stage 0, float32" in said
    assert "evaluation 0.5 GiB" in " ".join(said.split())


def test_the_plan_of_a_corpus_counts_units_and_mutants(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "one"}\n' * 500)
    corpus = ["--corpus.input", str(tmp_path), "--corpus.unit-mib", "0.002", "--corpus.output", str(tmp_path / "m")]
    growth = ["--synthesize.generations", "2", "--synthesize.population", "50", "--augment.operators", "typos@0.1"]
    main(["corpus", *corpus, *growth])
    said = " ".join(capsys.readouterr().out.split())
    assert "input 1 files, 0.0 MiB" in said and "units 4, of at most 0.002 MiB" in said
    assert "at most 200 mutants in 2 generations, by programs alone" in said and "typos 0.1" in said
    assert "finished before nothing" in said and not (tmp_path / "m").exists()


def test_a_job_without_a_plan_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"no plan of evaluate jobs; expected one of ppo, sft"):
        main(["evaluate"])


def test_a_jobs_name_means_its_defaults() -> None:
    assert default_config("evaluate") == EvaluateJobConfig()


def test_a_jobs_file_means_its_configuration(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "from r1ray.config.jobs import PPOJobConfig\n"
        "from r1ray.config.ppo import PPOConfig\n"
        "CONFIG = PPOJobConfig(ppo=PPOConfig(steps=7))\n"
    )
    assert default_config(str(file)).ppo.steps == 7


@pytest.mark.parametrize(
    ("job", "message"),
    [("evalute", "Did you mean evaluate"), ("zzz", "Expected one of: ppo"), ("none.py", "no such file")],
)
def test_an_unknown_job_says_what_was_expected(job: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        default_config(job)


def test_a_file_without_a_configuration_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "x.py").write_text("")
    with pytest.raises(ConfigError, match="has no CONFIG"):
        default_config(str(tmp_path / "x.py"))

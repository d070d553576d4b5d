"""Settings reach the application by whichever way they are given."""

import pytest

from r1ray.config.jobs import ServeJobConfig
from r1ray.config.policy import PolicyConfig
from r1ray.config.serve import ServeConfig, ServeEngineConfig
from r1ray.errors import ConfigError
from r1ray.serve.assemble import ingress_count, more_models, version_names


def test_serve_run_takes_the_settings_of_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    from r1ray.serve import app

    monkeypatch.setattr(app, "build", lambda config: config)
    built = app.build_app({"model": "runs/x", "engine.kind": "transformers", "serve.max-new-tokens": "7"})
    assert built == ServeJobConfig(
        policy=PolicyConfig(path="runs/x"),
        engine=ServeEngineConfig(kind="transformers"),
        serve=ServeConfig(max_new_tokens=7, door="proxy"),  # the one that `serve run` has started
    )
    with pytest.raises(ConfigError, match="max_new_tokens"):
        app.build_app({"serve.max_new_token": "7"})


def test_further_models_have_names_of_their_own() -> None:
    def named(*models: str) -> dict[str, str]:
        config = ServeJobConfig(
            policy=PolicyConfig(path="runs/x"), serve=ServeConfig(model_name="house", models=models)
        )
        return {name: policy.path for name, policy in more_models(config).items()}

    assert named("a=runs/a", "b=hub/b=c") == {"a": "runs/a", "b": "hub/b=c"}
    for wrong in (("a",), ("=a",), ("a=1", "a=2"), ("house=1",), ("x=1",), ("house:x=1",)):
        with pytest.raises(ConfigError, match=r"serve\.models"):
            named(*wrong)


def test_an_engine_on_a_gpu_gets_two_ingresses_unless_a_number_is_given() -> None:
    def count(ingresses: int = 0, gpus: float = 0.0) -> int:
        engine = ServeEngineConfig(kind="vllm", gpus=gpus)
        return ingress_count(ServeJobConfig(engine=engine, serve=ServeConfig(ingresses=ingresses)))

    assert (count(), count(gpus=1.0), count(3), count(1, gpus=1.0)) == (1, 2, 3, 1)


def test_versions_are_named_after_their_paths_and_never_alike() -> None:
    def names(policy: str, canary: str = "") -> tuple[str, str]:
        return version_names(ServeJobConfig(policy=PolicyConfig(path=policy), canary_policy=PolicyConfig(path=canary)))

    assert names("runs/ppo/model") == ("ppo", "")
    assert names("/x/model-q8_0.gguf", "runs/new") == ("model-q8_0", "new")
    assert names("a/same", "b/same") == ("same", "same-canary")

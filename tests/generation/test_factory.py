"""Configuration in, engine out."""

from pathlib import Path

import pytest

from r1ray.config.policy import LoraConfig, PolicyConfig
from r1ray.config.resources import EngineConfig
from r1ray.errors import ModelError
from r1ray.generation.engine import Prompt, SamplingParams
from r1ray.generation.factory import make_engine
from r1ray.generation.transformers_engine import TransformersEngine
from tests.tiny import make_tiny_policy


def test_the_default_engine_holds_the_policys_plain_weights(tmp_path: Path) -> None:
    path = str(make_tiny_policy(tmp_path))
    plain = make_engine(EngineConfig(), PolicyConfig(path=path), "cpu")
    adapted = PolicyConfig(path=path, lora=LoraConfig(rank=4), gradient_checkpointing=True)
    engine = make_engine(EngineConfig(max_rows=2), adapted, "cpu")
    assert isinstance(engine, TransformersEngine)
    prompts, params = [Prompt(token_ids=[5, 6, 7], samples=3)], SamplingParams(max_new_tokens=5)
    (ours,), (expected,) = engine.generate(prompts, params), plain.generate(prompts, params)
    assert [completion.token_ids for completion in ours] == [completion.token_ids for completion in expected]
    assert engine.policy_version == 0


def test_a_policy_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError):
        make_engine(EngineConfig(), PolicyConfig(path=str(tmp_path / "nothing")), "cpu")

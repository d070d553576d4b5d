"""From configuration to a teacher."""

import os

from r1ray.config.policy import PolicyConfig
from r1ray.config.resources import EngineConfig
from r1ray.config.synthesize import SynthesizeConfig
from r1ray.data.synthesize.endpoint import OpenAIEndpoint
from r1ray.data.synthesize.teacher import EngineTeacher, Teacher
from r1ray.generation.engine import SamplingParams
from r1ray.generation.factory import make_engine
from r1ray.models.loading import load_tokenizer, resolve_model


def make_teacher(
    config: SynthesizeConfig, policy: PolicyConfig, engine: EngineConfig, device: str = "cpu"
) -> Teacher | None:
    """The endpoint, the policy in this process, or none, as `synthesize.teacher` says.

    Raises:
        ModelError: the policy cannot be loaded.
    """
    if not config.teacher:
        return None
    if config.teacher == "engine":
        params = SamplingParams(max_new_tokens=config.max_new_tokens, temperature=config.temperature)
        return EngineTeacher(
            make_engine(engine, policy, device), load_tokenizer(resolve_model(policy.path)), params, name=policy.path
        )
    return OpenAIEndpoint(
        base_url=config.teacher,
        model=config.model,
        api_key=os.environ.get(config.api_key_variable, ""),
        temperature=config.temperature,
        max_tokens=config.max_new_tokens,
        requests=config.requests,
        timeout_s=config.timeout_s,
        retries=config.retries,
    )

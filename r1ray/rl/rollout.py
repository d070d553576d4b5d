"""The rollout worker: problems in, sampled attempts out, each stamped with the policy version that made it."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from r1ray.errors import StaleWeights
from r1ray.generation.engine import GenerationEngine, Prompt, SamplingParams
from r1ray.reasoning.prompts import ChatTokenizer, prompt_ids
from r1ray.rl.weights import FlatWeights
from r1ray.types import Completion, Problem, Rollout


@dataclass(frozen=True, kw_only=True, slots=True)
class RolloutRequest:
    """How a step's problems are sampled."""

    samples: int
    """Attempts at each problem (G)."""
    params: SamplingParams
    version: int
    """Policy version that must answer."""
    seed: int
    """Of the run."""
    step: int
    """PPO step; with the seed and the problem's id it fixes every draw, whichever worker makes it."""


class RolloutWorker:
    """An engine that answers with the weights it was asked for, or says that it lacks them."""

    def __init__(self, engine: GenerationEngine, tokenizer: ChatTokenizer, system: str) -> None:
        self._engine, self._tokenizer, self._system = engine, tokenizer, system

    def load_weights(self, weights: FlatWeights) -> int:
        """Take a version's weights in place; returns the version now held."""
        if weights.version != self._engine.policy_version:
            self._engine.load_weights(weights.tensors(), weights.version)
        return self._engine.policy_version

    def generate(self, problems: Sequence[Problem], request: RolloutRequest) -> list[Rollout]:
        """`request.samples` attempts at each problem, grouped by problem, in order.

        Raises:
            StaleWeights: the engine holds another version than `request.version`.
        """
        prompts = [prompt_ids(self._tokenizer, problem, self._system) for problem in problems]
        asked = [
            Prompt(token_ids=ids, samples=request.samples, seed=draw_seed(request.seed, request.step, problem.id))
            for ids, problem in zip(prompts, problems, strict=True)
        ]
        groups = self.complete(asked, request.params, request.version)
        return [
            Rollout(problem=problem, prompt_ids=ids, completion=completion, policy_version=request.version, sample=g)
            for problem, ids, group in zip(problems, prompts, groups, strict=True)
            for g, completion in enumerate(group)
        ]

    def complete(self, prompts: Sequence[Prompt], params: SamplingParams, version: int) -> list[list[Completion]]:
        """The engine's own `generate`, under the version asked for."""
        if version != self._engine.policy_version:
            raise StaleWeights(
                f"Policy version {version} was asked for and this worker holds {self._engine.policy_version}. "
                "Load the weights of that version and ask again."
            )
        return self._engine.generate(prompts, params)

    def logprobs(self, prompt_ids: Sequence[Sequence[int]], response_ids: Sequence[Sequence[int]]) -> list[list[float]]:
        """The engine's temperature-1 log-probs of given responses."""
        return self._engine.logprobs(prompt_ids, response_ids)


def draw_seed(seed: int, step: int, problem_id: str) -> int:
    """One stream for each (run, step, problem), 63 bits."""
    digest = hashlib.blake2b(f"{seed}/{step}/{problem_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1

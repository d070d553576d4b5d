"""A compressed model's own answers to the gate's questions, and how another engine's answers compare with them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from r1ray.config.jobs import QuantizeJobConfig
from r1ray.config.policy import PolicyConfig
from r1ray.data.problem_set import build_problem_set
from r1ray.generation.engine import Prompt, SamplingParams
from r1ray.generation.transformers_engine import TransformersEngine
from r1ray.models.loading import load_policy
from r1ray.quantize.problems import parents_problems
from r1ray.reasoning.prompts import prompt_ids


@dataclass(frozen=True, kw_only=True)
class Reference:
    """The model in float32 under r1ray's engine, and the greedy answers that it gave."""

    model: Any
    prompts: list[list[int]]
    answers: list[list[int]]

    @classmethod
    def of(cls, path: Path, *, questions: int, new_tokens: int) -> "Reference":
        """Of a folder or a GGUF file, asked held-out problems of the run that it lies in."""
        device = "cuda" if torch.cuda.is_available() else "cpu"
        model, tokenizer = load_policy(PolicyConfig(path=str(path), dtype="float32"))
        settings, _ = parents_problems(QuantizeJobConfig().problems, str(path))
        problems = build_problem_set(settings, 0).heldout[:questions]
        prompts = [prompt_ids(tokenizer, problem, settings.system) for problem in problems]
        engine = TransformersEngine(model.to(device).eval(), tokenizer, max_rows=len(prompts))  # type: ignore[arg-type]
        params = SamplingParams(max_new_tokens=new_tokens, temperature=0.0)
        answers = engine.generate([Prompt(token_ids=ids) for ids in prompts], params)
        return cls(model=model, prompts=prompts, answers=[list(answer[0].token_ids) for answer in answers])

    def gaps(self, others: Sequence[list[int]]) -> list[float]:
        """For each answer that is another: how much less likely, in nats, the model finds the other's token where the
        two part. Little: another order of sums decided a near tie. Much: the two compute something else."""
        pairs = zip(self.prompts, self.answers, others, strict=True)
        return [self._gap(prompt, mine, other) for prompt, mine, other in pairs if mine != other]

    @torch.inference_mode()
    def _gap(self, prompt: list[int], mine: list[int], other: list[int]) -> float:
        parted = (i for i, (a, b) in enumerate(zip(mine, other, strict=False)) if a != b)
        at = next(parted, None)
        if at is None:
            raise ValueError(f"One answer begins the other: {mine} and {other}; the two end by different rules.")
        logits = self.model(torch.tensor([[*prompt, *mine[:at]]], device=self.model.device)).logits[0, -1]
        return float(logits[mine[at]] - logits[other[at]])


def say(name: str, tokens_per_s: float, questions: int, gaps: Sequence[float]) -> None:
    """One line for a reader."""
    parted = f", parted by {', '.join(f'{gap:.3f}' for gap in gaps)} nats" if gaps else ""
    same = f"{questions - len(gaps)} of {questions} answers the same"
    print(f"{name:18} {tokens_per_s:7.1f} tokens/s   {same}{parted}", flush=True)

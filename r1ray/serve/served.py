"""A version of a model as the ingress holds it: where its tokens come from, and its words."""

from dataclasses import dataclass
from typing import Any

from r1ray.serve.hooks import EngineClient, StepScorer
from r1ray.serve.prompts import Prompts
from r1ray.serve.text import TokenNames


@dataclass(frozen=True, slots=True)
class ServedModel:
    """One version."""

    version: str
    engine: EngineClient
    tokenizer: Any
    prompts: Prompts
    names: TokenNames
    vocabulary: int
    quantization: str = ""
    scorer: StepScorer | None = None
    amateur: bool = False
    """Whether its engines have one, for contrastive decoding."""
    weights: str = ""
    """Changes with the files that its weights come from: answers of others are not remembered as its own."""

    @staticmethod
    def of(
        version: str,
        engine: EngineClient,
        tokenizer: Any,
        *,
        system: str = "",
        quantization: str = "",
        scorer: StepScorer | None = None,
        amateur: bool = False,
        weights: str = "",
    ) -> "ServedModel":
        """With what follows from its tokenizer."""
        prompts, names = Prompts(tokenizer, system), TokenNames(tokenizer)
        return ServedModel(
            version, engine, tokenizer, prompts, names, len(tokenizer), quantization, scorer, amateur, weights
        )

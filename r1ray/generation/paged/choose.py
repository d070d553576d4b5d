"""From logits to the next token of each request: biases, penalties, grammars, what an amateur thinks, then one draw for
all rows together."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from r1ray.generation.engine import SamplingParams
from r1ray.generation.iteration import Contrast, DecodingParams, TokenGrammar, TokenScore
from r1ray.generation.sampling import RowSampling, sample, uniforms


@dataclass(slots=True, eq=False)
class Chooser:
    """What one request brings to the choice of its next token."""

    params: DecodingParams
    grammar: TokenGrammar | None
    numbers: npt.NDArray[np.float64] = field(init=False)
    counts: Counter[int] = field(default_factory=Counter)
    drawn: int = 0
    amateur: Tensor | None = None
    """The amateur's logits (V,) for the coming choice, where one is asked."""

    def __post_init__(self) -> None:
        self.numbers = uniforms(self.params.seed, self.params.sample, max(self.params.max_new_tokens, 1))

    @property
    def adjusts(self) -> bool:
        """Whether logits are changed before the draw."""
        p = self.params
        return bool(p.logit_bias or p.presence_penalty or p.frequency_penalty or self.grammar is not None or p.contrast)

    def adjust_(self, logits: Tensor) -> None:
        """Change this row's logits (V,) in place."""
        p = self.params
        own = logits.clone() if p.contrast else logits
        if (p.presence_penalty or p.frequency_penalty) and self.counts:
            seen = torch.tensor(list(self.counts), device=logits.device)
            times = torch.tensor(list(self.counts.values()), dtype=logits.dtype, device=logits.device)
            logits[seen] -= p.presence_penalty + p.frequency_penalty * times
        if p.logit_bias:
            biased = torch.tensor(list(p.logit_bias), device=logits.device)
            logits[biased] += torch.tensor(list(p.logit_bias.values()), dtype=logits.dtype, device=logits.device)
        if self.grammar is not None:
            self.grammar.mask_(logits)
        if p.contrast and self.amateur is not None:
            contrast_(logits, own, self.amateur, p.contrast)

    def took(self, token: int) -> None:
        """The token was chosen."""
        self.drawn += 1
        if self.params.presence_penalty or self.params.frequency_penalty:
            self.counts[token] += 1
        if self.grammar is not None:
            self.grammar.accept(token)


def contrast_(logits: Tensor, own: Tensor, amateur: Tensor, contrast: Contrast) -> None:
    """Contrastive decoding of one row (V,), in place (O'Brien and Lewis 2023, arXiv 2309.09117, section 3):
    own + beta (own - amateur), in log-probs, for tokens of at least alpha times the largest probability; no others.

    What is plausible is judged after biases and grammars (`logits`), so that these cannot leave nothing to choose from.
    A token beyond the amateur's vocabulary (padding: none of the tokenizer's) keeps its logit.
    """
    implausible = logits < logits.max() + math.log(contrast.alpha)
    width = min(len(own), len(amateur))
    logits[:width] += contrast.beta * (own.log_softmax(-1)[:width] - amateur.log_softmax(-1)[:width])
    logits[implausible] = -torch.inf


@torch.inference_mode()
def choose(logits: Tensor, choosers: Sequence[Chooser]) -> tuple[list[int], list[TokenScore | None]]:
    """One token for each row of (R, V) logits, and its score where it is asked for."""
    asked = [row for row, chooser in enumerate(choosers) if chooser.params.logprobs]
    raw = torch.log_softmax(logits[asked], dim=-1) if asked else None
    if any(chooser.adjusts for chooser in choosers):
        logits = logits.clone()
        for row, chooser in enumerate(choosers):
            if chooser.adjusts:
                chooser.adjust_(logits[row])
    if all(chooser.params.temperature <= 0 for chooser in choosers):
        tokens = logits.argmax(-1).tolist()
    else:
        numbers = torch.tensor([c.numbers[c.drawn] for c in choosers], dtype=torch.float64, device=logits.device)
        rows = RowSampling([_sampling(c.params) for c in choosers], logits.device)
        tokens = sample(logits, numbers, rows)[0].tolist()
    found: list[TokenScore | None] = [None] * len(choosers)
    if raw is not None:
        chosen = [tokens[row] for row in asked]
        widths = [choosers[row].params.top_logprobs for row in asked]
        for row, one in zip(asked, scores(raw, chosen, widths), strict=True):
            found[row] = one
    for chooser, token in zip(choosers, tokens, strict=True):
        chooser.took(token)
    return tokens, found


def scores(logprobs: Tensor, tokens: Sequence[int], widths: Sequence[int]) -> list[TokenScore]:
    """The score of one token in each row of (R, V) log-probs, with as many of the likeliest as the row asks for."""
    chosen = logprobs.gather(-1, torch.tensor(tokens, device=logprobs.device)[:, None]).squeeze(-1).tolist()
    widest = max(widths, default=0)
    if not widest:
        return [TokenScore(logprob=value) for value in chosen]
    top = logprobs.topk(widest, dim=-1)
    values, indices = top.values.tolist(), top.indices.tolist()
    return [
        TokenScore(logprob=value, top=tuple(zip(indices[row][:width], values[row][:width], strict=True)))
        for row, (value, width) in enumerate(zip(chosen, widths, strict=True))
    ]


def _sampling(params: DecodingParams) -> SamplingParams:
    return SamplingParams(temperature=params.temperature, top_p=params.top_p, top_k=params.top_k)

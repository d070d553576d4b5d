"""Log-probs and entropies of tokens, straight from hidden states: the full logits of a batch never exist.

    hidden ── chunk of tokens ──► logits (chunk, V) ──► normalise in place ──► log-probs, entropies

By the logits, the gradient of a log-prob is one-hot − softmax. The backward pass needs that residual of each token: it
is kept when the batch is one chunk (no more memory than the forward pass takes) and computed again, chunk by chunk,
when it is several.
"""

from collections.abc import Iterator
from typing import Any, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable


def token_logprobs(
    hidden: Float[Tensor, "N D"],
    weight: Float[Tensor, "V D"],
    targets: Int[Tensor, " N"],
    *,
    temperature: float = 1.0,
    chunk: int = 1024,
    bias: Float[Tensor, " V"] | None = None,
    with_entropy_grad: bool = False,
) -> tuple[Float[Tensor, " N"], Float[Tensor, " N"]]:
    """Log-prob of each target and entropy (nats) of its distribution, softmax((hidden · weightᵀ + bias) / temperature).

    Value and gradient equal those of `log_softmax` over full logits, yet no more than `chunk` × V logits exist at once.
    The softmax and the results are float32 (float64 for float64 weights) whatever the inputs' type. Logits must be
    finite. The entropy is a detached diagnostic unless `with_entropy_grad`, which makes the backward pass compute the
    logits again.
    """
    needs_grad = torch.is_grad_enabled() and any(x is not None and x.requires_grad for x in (hidden, weight, bias))
    settings = (temperature, chunk, needs_grad, with_entropy_grad)
    outputs = _TokenLogprobs.apply(hidden.to(weight.dtype), weight, bias, targets, settings)  # type: ignore[no-untyped-call]
    return cast(tuple[Tensor, Tensor], outputs)


class _TokenLogprobs(torch.autograd.Function):
    """`residual` is softmax − one-hot in the weights' type (the difference is taken before rounding to it)."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        settings: tuple[float, int, bool, bool],
    ) -> tuple[Tensor, Tensor]:
        temperature, chunk, needs_grad, with_entropy_grad = settings
        keep = needs_grad and not with_entropy_grad and len(hidden) <= chunk
        wide = torch.float64 if weight.dtype == torch.float64 else torch.float32
        logprobs, normaliser, entropy = torch.empty(3, len(hidden), dtype=wide, device=hidden.device)
        residual = None
        for rows in _spans(len(hidden), chunk):
            logits = _logits(hidden[rows], weight, bias, temperature)
            for block in _blocks(logits):
                shifted, picked = logits[block], targets[rows][block, None]
                top = shifted.amax(1, keepdim=True)
                exponentials = shifted.sub_(top).exp()
                total = exponentials.sum(1, keepdim=True)
                log_total = total.log()
                at = slice(rows.start + block.start, rows.start + block.stop)
                logprobs[at] = (shifted.gather(1, picked) - log_total).squeeze(1)
                normaliser[at] = (top + log_total).squeeze(1)
                entropy[at] = log_total.squeeze(1) - torch.linalg.vecdot(exponentials, shifted) / total.squeeze(1)
                if keep:
                    torch.div(exponentials, total, out=shifted)
            if keep:
                residual = _minus_one_hot(logits, targets).to(weight.dtype)
        ctx.settings = settings
        ctx.save_for_backward(hidden, weight, bias, targets, normaliser, entropy, residual)
        if not with_entropy_grad:
            ctx.mark_non_differentiable(entropy)
        return logprobs, entropy

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_logprobs: Tensor, grad_entropy: Tensor) -> tuple[Tensor | None, ...]:
        hidden, weight, bias, targets, normaliser, entropy, kept = ctx.saved_tensors
        temperature, chunk, _, with_entropy_grad = ctx.settings
        wants_hidden, wants_weight, wants_bias = ctx.needs_input_grad[:3]
        grad_hidden = torch.empty_like(hidden) if wants_hidden else None
        grad_weight = torch.zeros_like(weight) if wants_weight else None
        grad_bias = torch.zeros_like(bias) if wants_bias else None
        for rows in _spans(len(hidden), chunk):
            scale = -grad_logprobs[rows] / temperature
            residual = kept
            if residual is None:
                logits = _logits(hidden[rows], weight, bias, temperature)
                logits.sub_(normaliser[rows, None])
                if with_entropy_grad:
                    scale = torch.full_like(scale, -1 / temperature)
                    logits = _with_entropy(logits, grad_logprobs[rows], grad_entropy[rows], entropy[rows])
                    residual = _minus_one_hot(logits, targets[rows], grad_logprobs[rows])
                else:
                    residual = _minus_one_hot(logits.exp_(), targets[rows])
                residual = residual.to(weight.dtype)
            if grad_hidden is not None:
                grad_hidden[rows] = (residual @ weight) * scale[:, None]
            if grad_weight is not None:
                grad_weight.addmm_(residual.T, (hidden[rows] * scale[:, None]).to(weight.dtype))
            if grad_bias is not None:
                grad_bias.addmv_(residual.T, scale.to(weight.dtype))
        return grad_hidden, grad_weight, grad_bias, None, None


def _logits(hidden: Tensor, weight: Tensor, bias: Tensor | None, temperature: float) -> Tensor:
    """A chunk's own float32 (or float64) logits, free to be overwritten."""
    logits = F.linear(hidden, weight, bias)
    if logits.dtype != torch.float64:
        logits = logits.float()
    return logits if temperature == 1 else logits.div_(temperature)


def _minus_one_hot(matrix: Tensor, targets: Tensor, amount: Tensor | None = None) -> Tensor:
    """Subtract `amount` (1) at each row's target, in place."""
    one = matrix.new_ones(len(matrix)) if amount is None else amount
    return matrix.scatter_add_(1, targets[:, None], -one[:, None])


def _with_entropy(log_softmax: Tensor, grad_logprobs: Tensor, grad_entropy: Tensor, entropy: Tensor) -> Tensor:
    """softmax · (g + h (log softmax + H)), in place: minus what upstream gradients g and h leave on every logit."""
    for block in _blocks(log_softmax):
        rows = log_softmax[block]
        softmax = rows.exp()
        rows.add_(entropy[block, None]).mul_(grad_entropy[block, None]).add_(grad_logprobs[block, None]).mul_(softmax)
    return log_softmax


def _spans(count: int, size: int) -> Iterator[slice]:
    """0 … count in slices of at most `size`."""
    return (slice(start, min(start + size, count)) for start in range(0, count, size))


def _blocks(logits: Tensor) -> Iterator[slice]:
    """Rows to normalise together: few enough for a CPU's cache, many enough to fill an accelerator."""
    elements = 1 << 19 if logits.device.type == "cpu" else 1 << 25
    return _spans(len(logits), max(1, elements // logits.shape[1]))

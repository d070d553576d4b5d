"""The trained network: log-probs, entropies and values of a packed batch in one pass through the trunk."""

from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from r1ray.algorithms.logprobs import token_logprobs
from r1ray.algorithms.packing import PackedBatch
from r1ray.models.packed_attention import use_packed_attention
from r1ray.models.trunk import base_model, find_head, find_trunk, run_trunk
from r1ray.models.value_head import ValueHead


class PolicyOutput(NamedTuple):
    """What the network says of N sampled tokens and of the K positions after a truncated response.

    A tuple, because ZeRO-3 looks for a module's output tensors in tuples, lists and dictionaries only.
    """

    logprobs: Float[Tensor, " N"]
    """Log-prob of each target, given all that its predictor may see, at the temperature asked for."""
    entropy: Float[Tensor, " N"]
    """Entropy, in nats, of the distribution that each target was drawn from."""
    values: Float[Tensor, " N"] | None
    """Value before each target; None without a value head."""
    tail_values: Float[Tensor, " K"] | None
    """Value after the last token of each response, to bootstrap truncated ones from; None without a value head."""
    uniform_logprobs: Float[Tensor, " N"] | None = None
    """Mean log-prob over the vocabulary where each target stands, for label smoothing; None unless asked for."""


class Policy(nn.Module):
    """A causal language model with an optional value head.

    The trunk runs once; the head sees only the positions that predict sampled tokens, a chunk at a time, so the logits
    of the whole batch never exist.
    """

    def __init__(self, model: nn.Module, value_head: ValueHead | None = None) -> None:
        """
        Args:
            model: a Hugging Face causal language model, with or without peft adapters.
            value_head: shares the trunk; see `ValueHead.trunk_gradient`.
        """
        super().__init__()
        find_head(model)  # says at once when a model's logits are more than hidden · headᵀ
        use_packed_attention(base_model(model))
        self.model = model
        self.value_head = value_head

    def forward(
        self,
        packed: PackedBatch,
        temperature: float = 1.0,
        chunk: int = 1024,
        entropy_grad: bool = False,
        uniform: bool = False,
    ) -> PolicyOutput:
        """Score a packed batch.

        Args:
            packed: L tokens, with N predictor positions and K tails.
            temperature: logits are divided by it, as when the tokens were sampled.
            chunk: most tokens whose full-vocabulary logits exist at once.
            entropy_grad: whether the entropy is to be differentiated; it then costs the logits a second time.
            uniform: whether `uniform_logprobs` is wanted, at temperature 1.
        """
        hidden = run_trunk(find_trunk(self.model), packed)
        head = find_head(self.model)
        predicting = hidden.index_select(0, packed.predictors)
        logprobs, entropy = token_logprobs(
            predicting,
            head.weight,
            packed.targets,
            temperature=temperature,
            chunk=chunk,
            bias=head.bias,
            with_entropy_grad=entropy_grad,
        )
        values = tail_values = None
        if self.value_head is not None:
            # One call for both: under ZeRO-3 every call gathers the head's weights.
            both = self.value_head(torch.cat([predicting, hidden.index_select(0, packed.tails)]))
            values, tail_values = both.split([len(packed.predictors), len(packed.tails)])
        return PolicyOutput(
            logprobs=logprobs,
            entropy=entropy,
            values=values,
            tail_values=tail_values,
            uniform_logprobs=_uniform_logprobs(predicting, head, packed.targets, logprobs) if uniform else None,
        )

    def external_parameters(self) -> list[tuple[nn.Module, nn.Parameter]]:
        """Parameters that a module reads although another one owns them, as (reader, parameter).

        ZeRO-3 gathers a module's own parameters just before its forward pass; these it must be told of.
        """
        head = find_head(self.model)
        return [(self, parameter) for parameter in (head.weight, head.bias) if isinstance(parameter, nn.Parameter)]


def _uniform_logprobs(
    hidden: Float[Tensor, "N D"], head: nn.Linear, targets: Tensor, logprobs: Float[Tensor, " N"]
) -> Float[Tensor, " N"]:
    """Mean over the vocabulary of log p: no logits are needed for it.

    log p(v) = hidden · w_v + b_v − log Z, so the mean is hidden · w̄ + b̄ − log Z, and log Z = hidden · w_t + b_t −
    log p(t) for the target t.
    """
    hidden, weight = hidden.float(), head.weight.float()
    log_normaliser = torch.linalg.vecdot(hidden, weight[targets]) - logprobs
    mean = hidden @ weight.mean(dim=0)
    if head.bias is not None:
        log_normaliser = log_normaliser + head.bias.float()[targets]
        mean = mean + head.bias.float().mean()
    result: Tensor = mean - log_normaliser
    return result


def policy_state_dict(model: nn.Module) -> dict[str, Tensor]:
    """The language model's weights by their Hugging Face names, adapters merged in, the model itself untouched.

    A tied head appears as `lm_head.weight` beside the embedding that it equals: an engine that keeps a copy of its own
    (vLLM does, on a CPU) would otherwise go on sampling with the old one.

    Args:
        model: a `Policy`, a peft model, or a Hugging Face model. Under ZeRO-3, call it while parameters are gathered.

    Returns:
        Detached tensors. What is not merged shares its memory with the model, so copy before the next optimizer step.
    """
    base = base_model(model.model if isinstance(model, Policy) else model)
    weights: dict[str, Tensor] = {}
    for name, tensor in base.state_dict().items():
        if ".lora_" in name:
            continue
        weights[name.replace(".base_layer.", ".")] = tensor.detach()
    for name, module in base.named_modules():
        if hasattr(module, "get_delta_weight"):
            weights[f"{name}.weight"] = _merged(module)
    return weights


@torch.no_grad()
def _merged(layer: Any) -> Tensor:
    """W + (alpha / rank) · B A, summed in float32."""
    weight: Tensor = layer.base_layer.weight.detach()
    delta = sum(layer.get_delta_weight(adapter).float() for adapter in layer.active_adapters)
    merged: Tensor = (weight.float() + delta).to(weight.dtype)
    return merged

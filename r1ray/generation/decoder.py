"""The forward pass of a Llama-family model, cut down to what generation needs: prefill, one decode step, logits.

Same arithmetic as the Hugging Face model in the same type, up to the order of sums. Beyond that: projections are
fused and prepacked, RoPE is one complex product, keys and values go into a preallocated store, those of a prompt are
stored and read once for all its samples, and only the positions that someone asks for pass through the LM head.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers.activations import ACT2FN

from r1ray.generation.kv_cache import KVStore
from r1ray.generation.layout import Layout
from r1ray.generation.llama_weights import Layer, LlamaSpec, LlamaWeights

LOGITS_ROWS = 256
"""Most positions whose full-vocabulary logits exist at once in teacher forcing."""


class LlamaDecoder:
    """Axes: B prompts, T their padded tokens, R rows of a decode step, D hidden, V vocabulary."""

    def __init__(self, spec: LlamaSpec, named: Mapping[str, Tensor], dtype: torch.dtype, device: torch.device) -> None:
        self.spec, self.dtype, self.device = spec, dtype, device
        self._activation = ACT2FN[spec.activation]
        self._frequencies = spec.rope_frequencies.to(device)
        query_scale = torch.full((spec.heads,), spec.head_dim**-0.5)
        self._head_scale = torch.cat((query_scale, torch.ones(spec.kv_heads))).to(device)
        self.load(named)

    def load(self, named: Mapping[str, Tensor]) -> None:
        """Take new weights, by their Hugging Face names."""
        self._weights = LlamaWeights.fuse(self.spec, named, self.dtype, self.device)

    def new_store(self) -> KVStore:
        """An empty store for this model's keys and values."""
        return KVStore(self.spec.layers, self.spec.kv_heads, self.spec.head_dim, self.dtype, self.device)

    def prefill(self, tokens: Tensor, store: KVStore | None = None, first_slot: int = 0) -> Tensor:
        """Hidden states (B, T, D) of right-padded `tokens` (B, T).

        Keys and values go to the store's slots from `first_slot` on. Padding lies behind each prompt, where no token of
        the prompt looks.
        """
        spec, (batch, length) = self.spec, tokens.shape
        turn = self._rotation(torch.arange(length, device=self.device)).repeat(batch, 1, 1)
        x = self._weights.embedding[tokens.flatten()]
        group = spec.heads // spec.kv_heads
        for index, layer in enumerate(self._weights.layers):
            q, k, v = (part.unflatten(0, (batch, length)).transpose(1, 2) for part in self._project(layer, x, turn))
            if store is not None:
                store.keys[index, first_slot : first_slot + batch, ..., :length] = k.transpose(-1, -2)
                store.values[index, first_slot : first_slot + batch, :, :length] = v
            mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=1.0, enable_gqa=group > 1)
            x = self._finish(layer, x, mixed.transpose(1, 2).reshape(batch * length, -1))
        return x.view(batch, length, -1)

    def decode(self, tokens: Tensor, layout: Layout, prompts: KVStore, responses: KVStore) -> Tensor:
        """Hidden states (R, D) of one new token per row; its keys and values join the response store."""
        turn = self._rotation(layout.positions)
        slots = torch.arange(tokens.shape[0], device=self.device)
        x = self._weights.embedding[tokens]
        for index, layer in enumerate(self._weights.layers):
            q, k, v = self._project(layer, x, turn)
            keys, values = responses.keys[index], responses.values[index]
            keys[slots, :, :, layout.columns] = k
            values[slots, :, layout.columns] = v
            mixed = self._attend(q, layout, prompts.keys[index], prompts.values[index], keys, values)
            x = self._finish(layer, x, mixed)
        return x

    def logits(self, hidden: Tensor) -> Tensor:
        """(N, D) to (N, V), float32."""
        normed = F.rms_norm(hidden, hidden.shape[-1:], self._weights.norm, self.spec.norm_eps)
        return self._weights.head(normed).float()

    @torch.inference_mode()
    def token_logprobs(self, tokens: Tensor, rows: Tensor, positions: Tensor, targets: Tensor) -> Tensor:
        """Log-probs (N,) of `targets` after each of `positions` in `rows` of the right-padded `tokens` (B, T)."""
        hidden = self.prefill(tokens)[rows, positions]
        scores = [
            self.logits(part).log_softmax(-1).gather(-1, target[:, None]).squeeze(-1)
            for part, target in zip(hidden.split(LOGITS_ROWS), targets.split(LOGITS_ROWS), strict=True)
        ]
        return torch.cat(scores)

    def _rotation(self, positions: Tensor) -> Tensor:
        """(N, heads + kv_heads, head_dim / 2) complex factors; those of queries carry the scores' 1/sqrt(head_dim)."""
        angles = positions[:, None].float() * self._frequencies
        turn = torch.polar(torch.full_like(angles, self.spec.rope_scale), angles)
        return turn[:, None, :] * self._head_scale[:, None]

    def _project(self, layer: Layer, x: Tensor, turn: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Rotated queries (N, heads, head_dim), rotated keys and plain values (N, kv_heads, head_dim)."""
        spec = self.spec
        normed = F.rms_norm(x, x.shape[-1:], layer.attention_norm, spec.norm_eps)
        heads = layer.qkv(normed).unflatten(-1, (-1, spec.head_dim))
        rotary, v = heads.tensor_split((spec.heads + spec.kv_heads,), dim=1)
        if layer.qk_norm is not None:
            rotary = F.rms_norm(rotary, rotary.shape[-1:], None, spec.norm_eps) * layer.qk_norm
        pairs = torch.view_as_complex(rotary.float().unflatten(-1, (-1, 2)))
        rotated = torch.view_as_real(pairs * turn).flatten(-2).to(self.dtype)
        q, k = rotated.tensor_split((spec.heads,), dim=1)
        return q, k, v

    def _finish(self, layer: Layer, x: Tensor, mixed: Tensor) -> Tensor:
        """Everything of a layer that follows attention; (N, D)."""
        x = layer.out(mixed).add_(x)
        normed = F.rms_norm(x, x.shape[-1:], layer.mlp_norm, self.spec.norm_eps)
        gate, up = layer.gate_up(normed).chunk(2, dim=-1)
        return layer.down(self._activation(gate).mul_(up)).add_(x)

    def _attend(self, q: Tensor, layout: Layout, prompt_k: Tensor, prompt_v: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """One query per row over its prompt and its own response, (R, heads · head_dim).

        Rows of one prompt ask its keys together, in one (W·group, prompt_columns) product; each row asks its own
        response's alone; one softmax spans both.
        """
        spec, rows, length = self.spec, q.shape[0], layout.prompt_columns
        group = spec.heads // spec.kv_heads
        prompt_k = prompt_k[: layout.prompts, ..., :length].flatten(0, 1)
        prompt_v = prompt_v[: layout.prompts, :, :length].flatten(0, 1)
        k = k[:rows, ..., : layout.width].flatten(0, 1)
        v = v[:rows, :, : layout.width].flatten(0, 1)

        def to_grid(x: Tensor) -> Tensor:  # (R, heads, C) -> (P·kv_heads, W·group, C)
            x = x if layout.to_grid is None else x.index_select(0, layout.to_grid)
            return (
                x.view(layout.prompts, -1, spec.kv_heads, group, x.shape[-1])
                .transpose(1, 2)
                .reshape(prompt_k.shape[0], -1, x.shape[-1])
            )

        def from_grid(x: Tensor) -> Tensor:  # and back
            x = (
                x.view(layout.prompts, spec.kv_heads, -1, group, x.shape[-1])
                .transpose(1, 2)
                .reshape(-1, spec.heads, x.shape[-1])
            )
            return x if layout.from_grid is None else x.index_select(0, layout.from_grid)

        of_prompt = from_grid(torch.bmm(to_grid(q), prompt_k))
        of_response = torch.bmm(q.reshape(rows * spec.kv_heads, group, -1), k).view(rows, spec.heads, -1)
        scores = torch.cat((of_prompt, of_response), dim=-1)
        if layout.mask is not None:
            scores += layout.mask
        share = scores.softmax(-1, dtype=torch.float32).to(q.dtype)
        on_prompt = from_grid(torch.bmm(to_grid(share[..., :length].contiguous()), prompt_v))
        on_response = share[..., length:].reshape(rows * spec.kv_heads, group, -1)
        mixed = torch.baddbmm(on_prompt.reshape(rows * spec.kv_heads, group, -1), on_response, v)
        return mixed.view(rows, -1)

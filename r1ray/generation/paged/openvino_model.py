"""The network on a CPU: OpenVINO's kernels for packed weights and paged attention."""

import contextlib
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import accumulate
from typing import Any

import numpy as np
import torch
from torch import Tensor

from r1ray.errors import ModelError
from r1ray.generation.llama_weights import LlamaSpec
from r1ray.generation.paged.blocks import PAGE
from r1ray.generation.paged.model import Piece
from r1ray.generation.paged.openvino_graph import INPUTS, Matrix, build_graph
from r1ray.models.packed_weights import PackedMatrix

with contextlib.suppress(ImportError):  # an extra; the factory asks for it before it comes here
    import openvino as ov


class OpenVINOModel:
    """A `PagedModel` whose layers OpenVINO computes."""

    page_size = PAGE

    def __init__(
        self,
        spec: LlamaSpec,
        weights: Mapping[str, Tensor],
        packed: Mapping[str, Matrix],
        *,
        tokens: int,
        context_length: int,
        threads: int = 0,
        cache_precision: str = "f32",
        activation_group: int = 0,
    ) -> None:
        """
        Args:
            spec: the network's sizes.
            weights: its parameters by their Hugging Face names.
            packed: what stands in for some of them: a GGUF file's own numbers.
            tokens: places for keys and values.
            context_length: most tokens of one sequence.
            threads: 0 = OpenVINO's choice.
            cache_precision: of keys and values: `f32`, `f16` or `u8`.
            activation_group: OpenVINO rounds activations to eight bits in groups of this size; 0 = it does not.
        """
        self.pages, self.context_length = -(-tokens // PAGE), context_length
        self._spec = spec
        self._properties: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": "f32",
            "KV_CACHE_PRECISION": cache_precision,
            "DYNAMIC_QUANTIZATION_GROUP_SIZE": str(activation_group),
        }
        if threads:
            self._properties["INFERENCE_NUM_THREADS"] = threads
        self._compile({name: packed.get(name, value) for name, value in weights.items()})
        self.vocabulary = int(self._request.model_outputs[0].get_partial_shape()[-1].get_length())
        self._caches = self._allocate()

    def forward(self, pieces: Sequence[Piece]) -> Tensor:
        """Store the keys and values of every new token; logits of the outputs."""
        lengths = [len(piece.tokens) for piece in pieces]
        begins = list(accumulate(lengths, initial=0))
        pages = [
            piece.pages[: -(-(piece.past + length) // PAGE)] for piece, length in zip(pieces, lengths, strict=True)
        ]
        whole = {
            "input_ids": np.concatenate([np.asarray(piece.tokens, dtype=np.int64) for piece in pieces]),
            "position_ids": np.concatenate(
                [np.arange(p.past, p.past + n, dtype=np.int64) for p, n in zip(pieces, lengths, strict=True)]
            ),
            "output_indices": np.array(
                [begin + output for piece, begin in zip(pieces, begins, strict=False) for output in piece.outputs],
                dtype=np.int64,
            ),
            "max_context_len": np.array(max(p.past + n for p, n in zip(pieces, lengths, strict=True)), dtype=np.int32),
        }
        places = {
            "past_lens": [piece.past for piece in pieces],
            "subsequence_begins": begins,
            "block_indices": [page for one in pages for page in one],
            "block_indices_begins": list(accumulate(map(len, pages), initial=0)),
        }
        whole |= {name: np.array(places[name], dtype=np.int32) for name in INPUTS}
        for name, value in whole.items():
            self._request.set_tensor(name, ov.Tensor(value))
        self._request.infer()
        logits = self._request.get_output_tensor(0).data
        return torch.from_numpy(logits.reshape(-1, logits.shape[-1]))

    def load_weights(self, weights: Mapping[str, Tensor | PackedMatrix]) -> None:
        """Build the network again from new weights, packed ones as they are; then swap."""
        self._spec.names.check(weights)
        self._compile({name: value for name, value in weights.items() if name not in self._spec.names.aliases})
        for name, tensor in self._caches.items():
            self._request.set_tensor(name, tensor)

    def _compile(self, values: Mapping[str, Tensor | Matrix]) -> None:
        named = {name: value if isinstance(value, PackedMatrix) else _array(value) for name, value in values.items()}
        matrices: dict[str, Matrix] = {}
        vectors = {}
        for name, value in named.items():
            if isinstance(value, PackedMatrix) or value.ndim == 2:
                matrices[name] = value
            else:
                vectors[name] = value
        graph = build_graph(self._spec, matrices, vectors)
        try:
            self._request = _core().compile_model(graph, "CPU", self._properties).create_infer_request()
        except RuntimeError as error:
            raise ModelError(f"OpenVINO {ov.__version__} does not take this network: {error}") from error

    def _allocate(self) -> dict[str, Any]:
        """Pages for every layer, in the layout that the compiled network asks for."""
        caches = {}
        for port in self._request.model_inputs:
            name = port.get_any_name()
            if "_cache." in name:
                sizes = [axis.get_length() if axis.is_static else self.pages for axis in port.get_partial_shape()]
                caches[name] = ov.Tensor(port.get_element_type(), ov.Shape(sizes))
                caches[name].data[:] = 0
                self._request.set_tensor(name, caches[name])
        return caches


@cache
def _core() -> Any:
    """One for the whole process, never let go.

    OpenVINO's CPU plugin gives the thread that loads it a stack for signal handlers, and unmaps that stack with the
    last reference to the plugin while the thread goes on to use it: the next Ctrl-C would be a segmentation fault.
    """
    return ov.Core()


def _array(value: Any) -> Any:
    return value.detach().float().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value, dtype=np.float32)

"""The one place that calls llm-compressor: a float network and a plan in, a compressed-tensors folder out."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedTokenizerBase

from r1ray.errors import ConfigError
from r1ray.models.quiet import no_progress_bars
from r1ray.models.rounding import Grid
from r1ray.quantize.scheme import SchemePlan, check_groups

METHODS = ("rtn", "gptq", "awq")
"""Round to nearest; GPTQ (arXiv 2210.17323); AWQ (arXiv 2306.00978)."""


def linear_layers(model: nn.Module) -> dict[str, nn.Linear]:
    """What can be quantized: every linear layer but the output head."""
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and not name.endswith("lm_head")
    }


def compress(
    model: Any,
    tokenizer: PreTrainedTokenizerBase,
    plan: SchemePlan,
    out: Path,
    *,
    method: str = "rtn",
    rows: Sequence[Sequence[int]] = (),
    dtype: str = "bfloat16",
) -> None:
    """Quantize `model` (in place) and write it to `out`, as transformers and vLLM load it.

    Args:
        model: a float32 causal language model.
        tokenizer: goes with it.
        plan: which layer gets which scheme.
        out: the folder.
        method: how weights are rounded.
        rows: token ids that GPTQ and AWQ look at.
        dtype: of what is not quantized, and of the scales.

    Raises:
        ConfigError: llm-compressor is not installed, or a group does not fit.
        ModelError: a plan that vLLM would refuse.
    """
    check_groups({name: tuple(module.weight.shape) for name, module in linear_layers(model).items()}, plan.schemes)  # type: ignore[misc]
    modifiers, oneshot = _modifiers(plan, method)
    data: dict[str, Any] = {}
    if method != "rtn":
        from datasets import Dataset  # comes with llm-compressor

        listed = [{"input_ids": list(row), "attention_mask": [1] * len(row)} for row in rows]
        data = {
            "dataset": Dataset.from_list(listed),
            "num_calibration_samples": len(listed),
            "max_seq_length": max(map(len, rows)),
        }
    with _no_pinning(), _quiet_library(), no_progress_bars():
        oneshot(model=model, tokenizer=tokenizer, recipe=modifiers, **data)
        _plain_again(model)
        _store_as(model, getattr(torch, dtype))
        model.save_pretrained(out, save_compressed=True)
    tokenizer.save_pretrained(out)


def _modifiers(plan: SchemePlan, method: str) -> tuple[list[Any], Any]:
    try:
        from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
        from llmcompressor import oneshot
        from llmcompressor.modifiers.quantization import GPTQModifier, QuantizationModifier
        from llmcompressor.modifiers.transform.awq import AWQModifier
    except ImportError as error:
        raise ConfigError(
            f"This recipe needs llm-compressor ({error}): pip install 'r1ray[quantize]'. The gguf-* recipes do not."
        ) from error

    def arguments(grid: Grid, dynamic: bool) -> Any:
        strategy = "token" if dynamic else "group" if grid.group else "channel"
        return QuantizationArgs(
            num_bits=grid.bits,
            type="float" if grid.floating else "int",
            symmetric=grid.symmetric,
            strategy=strategy,
            group_size=grid.group or None,
            dynamic=dynamic,
        )

    groups = {
        f"group_{number}": QuantizationScheme(
            targets=targets,
            weights=arguments(scheme.weights, dynamic=False),
            input_activations=arguments(scheme.inputs, dynamic=True) if scheme.inputs else None,
        )
        for number, (scheme, targets) in enumerate(plan.groups())
    }
    settings: dict[str, Any] = {"config_groups": groups, "ignore": ["lm_head"]}
    if method == "gptq":
        return [GPTQModifier(**settings)], oneshot
    rounding = QuantizationModifier(**settings)
    return ([AWQModifier(), rounding] if method == "awq" else [rounding]), oneshot


def _plain_again(model: nn.Module) -> None:
    """Without the library's hooks that move weights in and out: what is changed from here on stays changed."""
    from compressed_tensors.offload import remove_dispatch

    remove_dispatch(model)
    model.to("cpu")


def _store_as(model: nn.Module, dtype: torch.dtype) -> None:
    """Everything but the matrices that become codes: those are divided by their scales, as these are stored, in
    float32."""
    codes = {id(m.weight) for m in model.modules() if getattr(m, "quantization_scheme", None) is not None}
    for parameter in model.parameters():
        if parameter.is_floating_point() and id(parameter) not in codes:
            parameter.data = parameter.data.to(dtype)
    model.config.dtype = dtype


@contextlib.contextmanager
def _no_pinning() -> Iterator[None]:
    """llm-compressor 0.14 pins AWQ's activations in memory even where there is no accelerator, which torch refuses."""
    from llmcompressor.pipelines.cache import IntermediatesCache

    original = IntermediatesCache.pin_memory
    if not torch.accelerator.is_available():
        IntermediatesCache.pin_memory = lambda *_, **__: None
    try:
        yield
    finally:
        IntermediatesCache.pin_memory = original


@contextlib.contextmanager
def _quiet_library() -> Iterator[None]:
    """Its log lines (a dozen a layer) stay off the console."""
    from loguru import logger

    logger.disable("llmcompressor")
    logger.disable("compressed_tensors")
    try:
        yield
    finally:
        logger.enable("llmcompressor")
        logger.enable("compressed_tensors")

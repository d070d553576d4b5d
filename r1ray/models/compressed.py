"""A compressed-tensors model as a plain network: weights as numbers, quantized activations as roundings of inputs.

The library's own modules round their weights again in every forward pass, and no engine but theirs knows their names.
"""

from typing import Any

import torch
from torch import nn

from r1ray.models.rounding import Grid, round_inputs

_CONFIG = "quantization_config"


def is_compressed(config: Any) -> bool:
    """Whether a model's configuration says that its file holds compressed tensors."""
    found = getattr(config, _CONFIG, None)
    method = found.get("quant_method") if isinstance(found, dict) else getattr(found, "quant_method", None)
    return str(getattr(method, "value", method)) == "compressed-tensors"


def plain_network(model: Any) -> Any:
    """The dense network that computes what the compressed `model` computes."""
    from compressed_tensors.compressors import ModelCompressor  # an extra; whoever gets here has opened such a file

    if getattr(model, "ct_decompress_hook", None) is not None or _is_packed(model):
        ModelCompressor.from_compression_config(model.config.quantization_config).decompress_model(model)
    config = type(model.config).from_dict({k: v for k, v in model.config.to_dict().items() if k != _CONFIG})
    config._attn_implementation = model.config._attn_implementation
    with torch.device("meta"):
        plain = type(model)(config)
    wanted = dict(plain.named_parameters(remove_duplicate=False))
    weights = {name: value for name, value in model.state_dict().items() if name in wanted}
    plain.load_state_dict(weights, strict=False, assign=True)
    plain.tie_weights()
    for name, buffer in model.named_buffers():
        if "rotary" in name:  # not saved, and empty on the meta device
            plain.get_submodule(name.rpartition(".")[0])._buffers[name.rpartition(".")[2]] = buffer
    for name, module in model.named_modules():
        scheme = getattr(module, "quantization_scheme", None)
        if scheme is not None and scheme.input_activations is not None:
            linear = plain.get_submodule(name)
            assert isinstance(linear, nn.Linear)
            round_inputs(linear, grid_of(scheme.input_activations))
    plain.generation_config = model.generation_config
    return plain.eval()


def grid_of(arguments: Any) -> Grid:
    """compressed-tensors' `QuantizationArgs` as a grid."""
    return Grid(
        bits=arguments.num_bits,
        symmetric=arguments.symmetric,
        group=arguments.group_size if arguments.strategy == "group" else 0,
        floating=str(getattr(arguments.type, "value", arguments.type)) == "float",
    )


def _is_packed(model: nn.Module) -> bool:
    return any(
        str(getattr(getattr(module, "quantization_status", None), "value", "")) == "compressed"
        for module in model.modules()
    )

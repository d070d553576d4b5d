"""Which linear layer is stored how: a plan by module, and the rule that fused projections share a format."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from r1ray.errors import ConfigError, ModelError
from r1ray.models.rounding import Grid

FUSED = (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj"))
"""Projections that vLLM multiplies as one matrix: it refuses a file in which they differ."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scheme:
    """The format of a matrix and of what it is multiplied with."""

    weights: Grid
    inputs: Grid | None = None
    """Rounded token by token; None = as they come."""

    @property
    def name(self) -> str:
        """`W4A16`, `W8A8` or `FP8`."""
        if self.weights.floating:
            return "FP8"
        return f"W{self.weights.bits}A{self.inputs.bits if self.inputs else 16}"


INT8 = Scheme(weights=Grid(bits=8), inputs=Grid(bits=8))
INT8_ASYMMETRIC = Scheme(weights=Grid(bits=8, symmetric=False), inputs=Grid(bits=8, symmetric=False))
FP8 = Scheme(weights=Grid(floating=True), inputs=Grid(floating=True))


def int4(group: int, symmetric: bool = True) -> Scheme:
    """Four-bit weights in groups, activations as they come."""
    return Scheme(weights=Grid(bits=4, group=group, symmetric=symmetric))


@dataclass(frozen=True, kw_only=True, slots=True)
class SchemePlan:
    """One scheme for each linear layer, by its name; layers that are not in it stay as they are."""

    schemes: Mapping[str, Scheme]
    whole: bool = True
    """Whether every linear layer but the head is in it."""

    def __post_init__(self) -> None:
        check_fused(self.schemes)

    def widened(self, blocks: Collection[str], wider: Scheme = INT8) -> "SchemePlan":
        """The plan with every layer below one of `blocks` (`model.layers.3.mlp`) in the next wider format: from 4 bits
        to `wider`, from 8 bits to none at all."""
        schemes = {}
        for name, scheme in self.schemes.items():
            if name.rpartition(".")[0] not in blocks:
                schemes[name] = scheme
            elif scheme.weights.bits < 8:
                schemes[name] = wider
        return SchemePlan(schemes=schemes, whole=self.whole and len(schemes) == len(self.schemes))

    def groups(self) -> list[tuple[Scheme, list[str]]]:
        """Each scheme with patterns (compressed-tensors' `re:…`) that match its layers and no others'."""
        if self.whole and len(set(self.schemes.values())) == 1:
            return [(next(iter(self.schemes.values())), ["Linear"])]
        by_scheme: dict[Scheme, dict[str, list[int]]] = {}
        for name, scheme in self.schemes.items():
            layer, part = _layer_and_part(name)
            by_scheme.setdefault(scheme, {}).setdefault(part, []).append(layer)
        found = []
        for scheme, parts in by_scheme.items():
            patterns = [
                rf"re:.*\.layers\.({'|'.join(map(str, sorted(layers)))})\.{re.escape(part)}$"
                for part, layers in parts.items()
            ]
            found.append((scheme, patterns))
        return found


def check_fused(schemes: Mapping[str, Scheme]) -> None:
    """Refuse a plan in which projections that run as one matrix have different formats.

    Raises:
        ModelError: naming the layers.
    """
    for name in schemes:
        parent, _, last = name.rpartition(".")
        for fused in FUSED:
            if last != fused[0]:
                continue
            formats = {part: schemes.get(f"{parent}.{part}") for part in fused}
            if len(set(formats.values())) > 1:
                told = ", ".join(f"{part} {scheme.name if scheme else 'none'}" for part, scheme in formats.items())
                raise ModelError(
                    f"{parent}: {', '.join(fused)} must share one scheme, because vLLM multiplies them as one matrix; "
                    f"they have {told}."
                )


def check_groups(shapes: Mapping[str, tuple[int, int]], schemes: Mapping[str, Scheme]) -> None:
    """Refuse groups that do not divide a layer's rows.

    Raises:
        ConfigError: naming a layer and the groups that would do.
    """
    for name, scheme in schemes.items():
        group, columns = scheme.weights.group, shapes[name][1]
        if group and columns % group:
            fitting = [str(size) for size in (32, 64, 128) if all(shape[1] % size == 0 for shape in shapes.values())]
            raise ConfigError(
                f"quantize.group is {group}, which does not divide the {columns} columns of {name}; expected "
                f"{' or '.join(fitting) or 'a divisor; this model has none of 32, 64, 128'}."
            )


def _layer_and_part(name: str) -> tuple[int, str]:
    found = re.search(r"\.layers\.(\d+)\.(.+)$", name)
    if found is None:
        raise ModelError(f"{name} is not in a numbered layer: mixed schemes are told apart by layer.")
    return int(found[1]), found[2]

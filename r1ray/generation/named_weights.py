"""Weights by their Hugging Face names: what a model must be sent, and what is wrong with what came."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from r1ray.errors import ModelError

SHOWN = 5
"""Most names listed for each kind of problem."""


@dataclass(frozen=True, slots=True)
class NamedShapes:
    """Every parameter of a model, tied ones once, and the further names under which tied ones appear."""

    shapes: Mapping[str, torch.Size]
    aliases: Mapping[str, str]
    """From a tied parameter's second name to its first: `lm_head.weight` to `model.embed_tokens.weight`."""

    @staticmethod
    def of(model: PreTrainedModel) -> "NamedShapes":
        """Read off a model; one on the meta device will do."""
        shapes = {name: parameter.shape for name, parameter in model.named_parameters()}
        first_name = {id(parameter): name for name, parameter in model.named_parameters()}
        every = model.named_parameters(remove_duplicate=False)
        aliases = {name: first_name[id(parameter)] for name, parameter in every if name not in shapes}
        return NamedShapes(shapes, aliases)

    @staticmethod
    def in_folder(path: Path) -> "NamedShapes":
        """Those of the model that a Hugging Face folder describes; no weights are read."""
        with torch.device("meta"):
            return NamedShapes.of(AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(path)))

    def check(self, named: Mapping[str, Any]) -> None:
        """All parameters, nothing else, each of its shape; a tied one may come under both names if the two are equal.

        Raises:
            ModelError: naming what is missing, unknown, misshapen, or tied and yet different.
        """
        common = self.shapes.keys() & named.keys()
        misshapen = [name for name in common if named[name].shape != self.shapes[name]]
        problems = {
            "missing": self.shapes.keys() - named.keys(),
            "unknown": named.keys() - self.shapes.keys() - self.aliases.keys(),
            "wrong shape": {f"{n} {tuple(named[n].shape)}, expected {tuple(self.shapes[n])}" for n in misshapen},
        }
        found = "; ".join(f"{problem}: {_listed(names)}" for problem, names in problems.items() if names)
        if found:
            raise ModelError(
                f"The weights do not fit the policy ({found}). Send every parameter by its Hugging Face name, as the "
                f"unwrapped model's `named_parameters()` gives them."
            )
        for alias, name in self.aliases.items():
            if alias in named and not torch.equal(named[alias], named[name]):
                raise ModelError(
                    f"The policy ties {alias} to {name}, but the two tensors that came differ. Send {name} alone, or "
                    f"both equal; an optimizer that updates them apart has untied the model."
                )


def _listed(names: set[str]) -> str:
    shown = sorted(names)[:SHOWN]
    return ", ".join(shown) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")

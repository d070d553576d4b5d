"""The recipes, as a command line names them."""

import pytest

from r1ray.config.quantize import RECIPES as NAMES
from r1ray.config.quantize import QuantizeConfig
from r1ray.errors import ConfigError
from r1ray.quantize.recipes import RECIPES


def test_configuration_and_room_know_the_same_recipes() -> None:
    assert tuple(RECIPES) == NAMES
    assert all(name == recipe.name and recipe.runs_on for name, recipe in RECIPES.items())


def test_an_unknown_recipe_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="gptq-w4a16"):
        QuantizeConfig(recipe=("gptq",))

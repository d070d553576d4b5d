"""The recipes by name, one small file each."""

from r1ray.quantize.recipe import Recipe
from r1ray.quantize.recipes import awq, distil, fp8, gguf, gptq, int8, mixed, prune, qat, rtn

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        int8.SYMMETRIC,
        int8.ASYMMETRIC,
        rtn.RECIPE,
        gptq.RECIPE,
        awq.RECIPE,
        mixed.RECIPE,
        fp8.RECIPE,
        prune.UNSTRUCTURED,
        prune.TWO_OF_FOUR,
        qat.INT8_RECIPE,
        qat.INT4_RECIPE,
        distil.RECIPE,
        gguf.Q8_0,
        gguf.Q4_1,
        gguf.Q4_0,
        gguf.MIXED,
    )
}

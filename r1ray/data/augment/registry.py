"""Operators by name. One that reads files, or holds a model, is made when it is first asked for."""

import os
from collections.abc import Callable, Sequence

from r1ray.config.augment import AugmentConfig
from r1ray.data.augment.back_translation import back_translation
from r1ray.data.augment.counterexample import counterexample
from r1ray.data.augment.inversion import inversion
from r1ray.data.augment.masked import HuggingFaceFillMask, masked
from r1ray.data.augment.mixing import mixing
from r1ray.data.augment.noise import deletion, insertion, swap
from r1ray.data.augment.numeric import numeric
from r1ray.data.augment.parameters import parameters
from r1ray.data.augment.step_negatives import drop_step, shuffle_steps
from r1ray.data.augment.synonyms import synonyms
from r1ray.data.augment.translate import Apertium, Seq2SeqTranslator, Translator
from r1ray.data.augment.typos import typos
from r1ray.data.augment.variant import Edit, Operator, Row, each
from r1ray.data.augment.window import time_window
from r1ray.data.augment.wordnet import WordNet

Make = Callable[[AugmentConfig, Sequence[Row]], Operator]
"""An operator from the configuration and a pool of rows that it may compare with."""

_BY_ROW: dict[str, Callable[..., Edit]] = {
    "parameters": parameters,
    "numeric": numeric,
    "inversion": inversion,
    "counterexample": counterexample,
    "insertion": insertion,
    "deletion": deletion,
    "swap": swap,
    "typos": typos,
    "time_window": time_window,
    "drop_step": drop_step,
    "shuffle_steps": shuffle_steps,
}
"""Operators that need nothing but the row. A new one is a function here and a name in `config.augment.OPERATORS`."""
_WITH_PARTS: dict[str, Make] = {
    "synonyms": lambda config, pool: synonyms(WordNet(config.wordnet)),
    "back_translation": lambda config, pool: back_translation(make_translator(config.translator)),
    "masked": lambda config, pool: masked(HuggingFaceFillMask(config.masked_model)),
    "mixing": lambda config, pool: mixing(pool),
}


def make_operators(config: AugmentConfig, pool: Sequence[Row] = ()) -> dict[str, Operator]:
    """The operators that the configuration names, in the order of application.

    Args:
        config: names, and where WordNet, translator and masked model are.
        pool: rows that `mixing` may mix with: the same ones for every part of a corpus.

    Raises:
        DataError, ModelError: what an operator needs is not there; the message says how to get it.
    """
    return {name: make_operator(name, config, pool) for name in config.probabilities()}


def make_operator(name: str, config: AugmentConfig, pool: Sequence[Row] = ()) -> Operator:
    """One of them."""
    return each(_BY_ROW[name]) if name in _BY_ROW else _WITH_PARTS[name](config, pool)


def make_translator(spec: str) -> Translator:
    """From `apertium:eng-spa,spa-eng`, `transformers:path/there,path/back` or `chat:http://localhost:8000/v1,model`."""
    kind, _, parts = spec.partition(":")
    there, _, back = parts.partition(",")
    if kind == "apertium":
        return Apertium(there, back)
    if kind == "transformers":
        return Seq2SeqTranslator(there, back)
    from r1ray.data.synthesize.endpoint import ChatTranslator, OpenAIEndpoint  # it stands above this package

    key = os.environ.get("OPENAI_API_KEY", "")
    return ChatTranslator(OpenAIEndpoint(base_url=there, model=back, api_key=key, temperature=0.0))

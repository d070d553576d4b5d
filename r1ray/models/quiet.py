"""Keeps the progress bars, reports and notices of transformers and its friends off a console that draws its own."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from transformers.utils import logging as transformers_logging

# `save_pretrained` imports DeepSpeed where it is installed, which then says on the console which device it found.
logging.getLogger("DeepSpeed").addFilter(lambda record: record.levelno >= logging.ERROR)


@contextmanager
def no_progress_bars() -> Iterator[None]:
    """Load and save without bars; whoever had them on has them on again afterwards."""
    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            transformers_logging.enable_progress_bar()


@contextmanager
def no_load_report() -> Iterator[None]:
    """Load without word of weights that the file lacks: a classifier's head is new, and meant to be."""
    before = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(before)

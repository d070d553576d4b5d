"""Translators for back-translation: Debian's apertium, or any sequence-to-sequence model of transformers.

A served model translates as well: `data.synthesize.endpoint.ChatTranslator`.
"""

import shutil
import subprocess
from collections.abc import Sequence
from typing import Protocol

from r1ray.errors import DataError, ModelError


class Translator(Protocol):
    """There and back again."""

    def there(self, texts: Sequence[str]) -> list[str]:
        """Into the other language."""
        ...

    def back(self, texts: Sequence[str]) -> list[str]:
        """Back into the texts' own."""
        ...


class Apertium:
    """Rule-based translation on the CPU, in one process a batch.

    Args:
        there, back: directions as `apertium -l` lists them.

    Raises:
        DataError: apertium or a direction is not installed.
    """

    def __init__(self, there: str = "eng-spa", back: str = "spa-eng") -> None:
        program = shutil.which("apertium")
        if program is None:
            raise DataError(
                "Back-translation needs apertium, which is not on the PATH. Install it (Debian: apt-get install "
                "apertium apertium-eng-spa), or take another translator (augment.translator)."
            )
        listed = subprocess.run([program, "-l"], capture_output=True, text=True, check=False).stdout.split()
        for direction in (there, back):
            if direction not in listed:
                raise DataError(f"apertium has no direction {direction!r}; it has {', '.join(listed) or 'none'}.")
        self._program, self._there, self._back = program, there, back

    def there(self, texts: Sequence[str]) -> list[str]:
        """By the first direction."""
        return self._translate(texts, self._there)

    def back(self, texts: Sequence[str]) -> list[str]:
        """By the second one."""
        return self._translate(texts, self._back)

    def _translate(self, texts: Sequence[str], direction: str) -> list[str]:
        """Texts go in one a paragraph, since nothing is translated across a blank line."""
        if not texts:
            return []
        flat = [" ".join(text.split()) for text in texts]
        done = subprocess.run(
            [self._program, "-u", direction],
            input="\n\n".join(flat) + "\n",
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=False,
        )
        out = done.stdout.strip("\n").split("\n\n")
        if done.returncode or len(out) != len(flat):
            raise DataError(
                f"apertium {direction} gave {len(out)} paragraphs for {len(flat)} (status {done.returncode}): "
                f"{done.stderr.strip()[-300:]}"
            )
        return out


class Seq2SeqTranslator:
    """Two translation models in the Hugging Face layout (Marian, T5, NLLB), decoded greedily, one text at a time.

    Args:
        there, back: paths or ids.
        max_new_tokens: longest translation.

    Raises:
        ModelError: one cannot be loaded.
    """

    def __init__(self, there: str, back: str, max_new_tokens: int = 512) -> None:
        from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

        self._max_new_tokens = max_new_tokens
        try:
            self._models = [
                (AutoTokenizer.from_pretrained(path), AutoModelForSeq2SeqLM.from_pretrained(path).eval())
                for path in (there, back)
            ]
        except (OSError, ValueError) as error:
            raise ModelError(
                f"Translation models {there!r} and {back!r}: {error}. Expected two folders or ids of "
                "sequence-to-sequence models with their tokenizers."
            ) from error

    def there(self, texts: Sequence[str]) -> list[str]:
        """By the first model."""
        return [self._translate(text, 0) for text in texts]

    def back(self, texts: Sequence[str]) -> list[str]:
        """By the second one."""
        return [self._translate(text, 1) for text in texts]

    def _translate(self, text: str, which: int) -> str:
        import torch

        tokenizer, model = self._models[which]
        with torch.inference_mode():
            ids = model.generate(
                **tokenizer(text, return_tensors="pt"), max_new_tokens=self._max_new_tokens, do_sample=False
            )
        return str(tokenizer.decode(ids[0], skip_special_tokens=True))

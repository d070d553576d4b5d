"""Documents for the benchmarks of the corpus: web-like text with duplicates, poor pages and addresses in it."""

import json
import random
from pathlib import Path

_FUNCTION_WORDS = "the of and to in a is that for it with as was on are be by this at from have has not or an which"
_STOP = _FUNCTION_WORDS.split()
_LETTERS = "etaoinshrdlucmfw"


def write_documents(folder: Path, count: int, files: int, seed: int = 0) -> int:
    """Write `count` documents of about 2 kB into JSONL files; returns their bytes.

    A tenth are exact copies, a fifth edited copies (1 to 3 words changed), a tenth poor (short, or one line again and
    again), and every twentieth has an e-mail address and an IP address.
    """
    folder.mkdir(parents=True)
    draw = random.Random(seed)
    vocabulary = ["".join(draw.choices(_LETTERS, k=draw.randint(3, 10))) for _ in range(20_000)]
    weights = [1 / (rank + 10) for rank in range(len(vocabulary))]  # Zipf's law
    recent: list[str] = []
    streams = [(folder / f"documents-{number:03d}.jsonl").open("w") for number in range(files)]
    for number in range(count):
        kind = draw.random()
        if kind < 0.1 and recent:
            text = draw.choice(recent)
        elif kind < 0.3 and recent:
            words = draw.choice(recent).split(" ")
            for _ in range(draw.randint(1, 3)):
                words[draw.randrange(len(words))] = draw.choice(vocabulary)
            text = " ".join(words)
        elif kind < 0.4:
            line = " ".join(draw.choices(vocabulary, weights, k=8))
            text = line if draw.random() < 0.5 else "\n".join([line] * 30)
        else:
            text = _page(draw, vocabulary, weights)
            recent = [*recent[-500:], text]
        if number % 20 == 0:
            text += (
                f"\nWrite to {draw.choice(vocabulary)}@{draw.choice(vocabulary)}.com or to 85.214.{number % 250}.17."
            )
        print(json.dumps({"id": str(number), "text": text}), file=streams[number % files])
    for stream in streams:
        stream.close()
    return sum(path.stat().st_size for path in folder.iterdir())


def _page(draw: random.Random, vocabulary: list[str], weights: list[float]) -> str:
    drawn = iter(draw.choices(vocabulary, weights, k=600))
    paragraphs = []
    for _ in range(draw.randint(3, 6)):
        sentences = []
        for _ in range(draw.randint(3, 6)):
            words = [next(drawn) if draw.random() < 0.6 else draw.choice(_STOP) for _ in range(draw.randint(8, 24))]
            sentences.append(" ".join(words).capitalize() + ".")
        paragraphs.append(" ".join(sentences))
    return "\n".join(paragraphs)

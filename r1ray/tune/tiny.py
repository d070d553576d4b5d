"""A transformer trained from nothing on sums, in seconds: the job that a search costs nothing to be tried on."""

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from r1ray.cluster.threads import set_threads
from r1ray.config.jobs import TinyJobConfig
from r1ray.config.tiny import TinyConfig
from r1ray.metrics.sinks import JsonlSink
from r1ray.reasoning.answers import settle
from r1ray.runs import Run
from r1ray.statistics import wilson
from r1ray.train.engine import adamw, learning_rate, parameter_groups
from r1ray.types import Problem

ALPHABET = "0123456789+="
PAD = len(ALPHABET)


class TinyTraining:
    """One training, from random weights to the last evaluation; the same configuration and seed, the same figures."""

    def __init__(self, config: TinyJobConfig) -> None:
        self._config = config
        tiny = config.tiny
        self._train, self._heldout = sums(tiny, config.run.seed)
        torch.manual_seed(config.run.seed)
        self.model = make_model(tiny)
        self._optimizer = adamw(parameter_groups(self.model, config.optim), config.optim)
        self._steps = max(1, tiny.examples // tiny.batch)
        self._done = 0
        self._order = torch.Generator().manual_seed(config.run.seed)
        self._loss = math.nan

    @property
    def done(self) -> bool:
        """Whether nothing is left to do: all steps are made, or the loss is no longer a number."""
        return self._done >= self._steps or not (math.isfinite(self._loss) or self._done == 0)

    def advance(self) -> dict[str, float]:
        """Train up to the next evaluation, and make it: `accuracy` with its 95 % interval, `problems`, `loss`."""
        share = math.ceil(self._steps / self._config.tiny.evaluations)
        for _ in range(min(share, self._steps - self._done)):
            self._step()
            if not math.isfinite(self._loss):
                return {"accuracy": math.nan, "loss": self._loss}
        right = self.correct(self._heldout)
        interval = wilson(sum(right), len(right))
        return {
            "accuracy": sum(right) / len(right),
            "low": interval.low,
            "high": interval.high,
            "problems": len(right),
            "loss": self._loss,
            "steps": self._done,
        }

    def correct(self, problems: Sequence[Problem]) -> list[bool]:
        """Whether the greedy answer to each problem is right, as the verifier of every job sees it."""
        answers = solve(self.model, [encode(problem.question + "=") for problem in problems], digits(self._config.tiny))
        return [bool(settle(problem.answer, answer)) for problem, answer in zip(problems, answers, strict=True)]

    def state_dict(self) -> dict[str, Any]:
        """All that the rest of the training depends on."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "done": self._done,
            "order": self._order.get_state(),
            "random": torch.get_rng_state(),
            "loss": self._loss,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken."""
        self.model.load_state_dict(state["model"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._done, self._loss = state["done"], state["loss"]
        self._order.set_state(state["order"])
        torch.set_rng_state(state["random"])

    def _step(self) -> None:
        config = self._config
        rows = torch.randint(len(self._train), (config.tiny.batch,), generator=self._order)
        tokens = self._train[rows]
        self.model.train()
        logits = self.model(input_ids=tokens[:, :-1], use_cache=False).logits
        answer = tokens.shape[1] - digits(config.tiny) - 1  # only the answer can be known
        loss = nn.functional.cross_entropy(logits[:, answer:].flatten(0, 1), tokens[:, answer + 1 :].flatten())
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), config.optim.max_grad_norm or math.inf)
        factor = learning_rate(config.optim, self._done, self._steps)
        for group in self._optimizer.param_groups:
            group["lr"] = group["peak_lr"] * factor
        self._optimizer.step()
        self._optimizer.zero_grad()
        self._done += 1
        self._loss = float(loss.detach())


def train_tiny(config: TinyJobConfig, run: Run) -> dict[str, Any]:
    """The verb of `jobs/tiny.py`: train, measure, and save the model."""
    set_threads(1)  # for a network this small two threads mostly wait for each other
    training = TinyTraining(config)
    sink = JsonlSink(run.metrics_path)
    while True:
        figures = training.advance()
        step = int(figures.get("steps", 0))
        sink.write(step, {"evaluation/accuracy": figures["accuracy"], "train/loss": figures["loss"]})
        if training.done:
            break
    sink.close()
    training.model.save_pretrained(run.model_path)
    make_tokenizer().save_pretrained(run.model_path)
    return {"accuracy": figures["accuracy"], "problems": int(figures.get("problems", 0))}


# ── The task ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def digits(config: TinyConfig) -> int:
    """Characters of an answer; smaller numbers are filled up with zeros, so that every row is equally long."""
    return len(str(2 * config.largest))


@functools.lru_cache(maxsize=2)
def _sums(largest: int, heldout: int, seed: int) -> tuple[Tensor, tuple[Problem, ...]]:
    width, total = len(str(largest)), len(str(2 * largest))
    order = torch.randperm((largest + 1) ** 2, generator=torch.Generator().manual_seed(seed)).tolist()
    pairs = [divmod(index, largest + 1) for index in order]
    problems = tuple(
        Problem(id=f"{a}+{b}", question=f"{a:0{width}}+{b:0{width}}", answer=str(a + b)) for a, b in pairs[:heldout]
    )
    rows = [encode(f"{a:0{width}}+{b:0{width}}={a + b:0{total}}") for a, b in pairs[heldout:]]
    return torch.tensor(rows), problems


def sums(config: TinyConfig, seed: int) -> tuple[Tensor, tuple[Problem, ...]]:
    """Rows to train on [n, tokens], and the problems held out; made once in a process, whoever asks."""
    return _sums(config.largest, config.heldout, seed)


def encode(text: str) -> list[int]:
    """Token ids: every character is one."""
    return [ALPHABET.index(character) for character in text]


@torch.no_grad()
def solve(model: LlamaForCausalLM, prompts: Sequence[Sequence[int]], length: int) -> list[str]:
    """The greedy answers, `length` characters each."""
    model.eval()
    tokens = torch.tensor(prompts)
    for _ in range(length):
        logits = model(input_ids=tokens, use_cache=False).logits[:, -1]
        tokens = torch.cat([tokens, logits.argmax(dim=1, keepdim=True)], dim=1)
    alphabet = ALPHABET + " "
    return ["".join(alphabet[i] for i in row) for row in tokens[:, -length:].tolist()]


# ── The network ───────────────────────────────────────────────────────────────────────────────────────────────────────


def make_model(config: TinyConfig) -> LlamaForCausalLM:
    """Random weights."""
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(ALPHABET) + 1,
            hidden_size=config.width,
            intermediate_size=2 * config.width,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            num_key_value_heads=config.heads,
            max_position_embeddings=64,
            attention_dropout=config.dropout,
            tie_word_embeddings=True,
            bos_token_id=PAD,
            eos_token_id=PAD,
            pad_token_id=PAD,
        )
    )


def make_tokenizer() -> PreTrainedTokenizerFast:
    """A token for each character of `ALPHABET`."""
    vocab = {character: index for index, character in enumerate(ALPHABET)} | {"<pad>": PAD}
    backend = Tokenizer(models.WordLevel(vocab, unk_token="<pad>"))
    backend.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    backend.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token="<pad>", pad_token="<pad>", bos_token="<pad>", unk_token="<pad>"
    )

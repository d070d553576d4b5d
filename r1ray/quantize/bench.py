"""The bench that recipes work on: the parent, the rows, the problems and the folder, each read when it is first asked
for."""

import random
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, PreTrainedTokenizerBase

from r1ray.config.jobs import QuantizeJobConfig
from r1ray.data.conversations import solved_problem
from r1ray.data.encoding import TokenRow, encode_conversation
from r1ray.data.problem_set import ProblemSet, build_problem_set
from r1ray.data.sft_rows import SFTRows, read_sft_rows, row_id
from r1ray.models.loading import load_network, load_tokenizer, resolve_model
from r1ray.reasoning.prompts import prompt_ids
from r1ray.types import Problem


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What a recipe needs."""

    config: QuantizeJobConfig
    folder: Path
    """Where artifacts go, each in a folder of its recipe's name."""
    note: Callable[[str], None] = lambda text: None
    """Told what is being done."""

    @cached_property
    def parent(self) -> Path:
        """The parent's Hugging Face folder."""
        return resolve_model(self.config.policy.path)

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        return load_tokenizer(self.parent)

    @property
    def device(self) -> torch.device:
        """A GPU where the recipe's task has one."""
        return torch.device("cuda" if self.config.quantize.gpus and torch.cuda.is_available() else "cpu")

    def network(self, path: Path | None = None) -> Any:
        """A fresh float32 network of the parent (or of the model at `path`), on the CPU."""
        return load_network(AutoModelForCausalLM, path or self.parent, dtype="float32")

    @cached_property
    def problems(self) -> ProblemSet:
        settings = self.config.problems
        wanted = max(settings.heldout, self.config.evaluation.problems)
        return build_problem_set(replace(settings, heldout=wanted), self.config.run.seed)

    @cached_property
    def rows(self) -> SFTRows:
        """Training rows; none asks a held-out problem."""
        return read_sft_rows(
            self.config.sft,
            self.tokenizer,
            seed=self.config.run.seed,
            system=self.config.problems.system,
            problems=lambda: self.problems.train,
            heldout=frozenset(problem.id for problem in self.problems.heldout),
        )

    @property
    def heldout(self) -> list[Problem]:
        """The problems of the gate."""
        return self.problems.heldout[: self.config.evaluation.problems]

    def solutions(self, count: int) -> list[TokenRow]:
        """Held-out solutions, encoded: of the held-out problems, or validation rows where these have none."""
        solved = [problem for problem in self.problems.heldout if problem.solution][:count]
        if not solved:
            return list(self.rows.validation.values())[:count]
        return [
            encode_conversation(solved_problem(problem, self.config.problems.system), self.tokenizer)
            for problem in solved
        ]

    def calibration(self, method: str) -> list[list[int]]:
        """Token ids of training rows, drawn with the run's seed, as many as the method needs."""
        settings = self.config.quantize
        count = {"rtn": 0, "awq": settings.calibration_awq}.get(method, settings.calibration)
        if not count:
            return []
        names = sorted(self.rows.train)
        random.Random(self.config.run.seed).shuffle(names)
        return [self.rows.train[name].token_ids[: settings.calibration_tokens] for name in names[:count]]

    def rows_of(self, problems: Collection[str]) -> set[str]:
        """Training rows that ask one of these problems, by their ids."""
        return {
            row_id(solved_problem(problem, self.config.problems.system))
            for problem in self.problems.train
            if problem.id in problems and problem.solution
        } & self.rows.train.keys()

    def prompt(self, problem: Problem) -> list[int]:
        """A problem's prompt as token ids."""
        return partial(prompt_ids, self.tokenizer, system=self.config.problems.system)(problem)

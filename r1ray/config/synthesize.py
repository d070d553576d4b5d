"""The self-evolving engine: how many generations, which mutations, which teacher, and what counts as verified."""

from dataclasses import dataclass

from r1ray.config.base import require, require_choice, require_range
from r1ray.errors import ConfigError

PROGRAM_MUTATIONS = ("parameters", "inversion", "counterexample")
"""Made by executing a problem's program: the answer is known."""
TEACHER_MUTATIONS = ("harder", "rephrase", "setting")
"""Written by the teacher: the answer is what its samples agree on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SynthesizeConfig:
    """Seeds, mutated and answered over generations. Off while `generations` is 0."""

    generations: int = 0
    """How often the problems are mutated; 0 = nothing is synthesized."""
    seeds: int = 2000
    """Most worked problems of a corpus that are grown from: those with the smallest ids, which are hashes."""
    population: int = 500
    """Most problems that are mutated in one generation, rare patterns first."""
    children: int = 2
    """Mutations of each of them, different ones as far as there are."""
    mutations: tuple[str, ...] = PROGRAM_MUTATIONS
    """`parameters`, `inversion`, `counterexample` need no teacher; one writes `harder`, `rephrase`, `setting`."""
    teacher: str = ""
    """Base URL of an OpenAI-compatible endpoint (`http://localhost:8000/v1`); `engine` = the policy, in this process;
    empty = none, and only what the program answers is kept."""
    model: str = ""
    """Name of the teacher's model at the endpoint."""
    api_key_variable: str = "OPENAI_API_KEY"
    """Environment variable with the endpoint's key; no key is sent where it is not set."""
    samples: int = 3
    """Answers that the teacher gives to each problem."""
    agreement: float = 0.6
    """Share of the samples that must give one answer; that many against a program's answer reject the problem."""
    temperature: float = 0.7
    """Of the teacher's samples."""
    max_new_tokens: int = 512
    """Longest answer of the teacher."""
    requests: int = 4
    """Requests to the endpoint at a time."""
    timeout_s: float = 120.0
    """Seconds that one request may take."""
    retries: int = 4
    """Of a request that failed or was told to wait, with doubled pauses."""
    batch: int = 32
    """Mutations that are made, answered and written at once: what a killed run loses at most."""
    seed: int = 0
    """Of every choice that is not the teacher's."""

    def __post_init__(self) -> None:
        for name in ("seeds", "population", "children", "samples", "max_new_tokens", "requests", "batch"):
            require_range(f"synthesize.{name}", getattr(self, name), 1)
        for name in ("generations", "temperature", "retries"):
            require_range(f"synthesize.{name}", getattr(self, name), 0)
        require(0.5 < self.agreement <= 1, "synthesize.agreement", self.agreement, "more than 0.5, at most 1")
        require(self.timeout_s > 0, "synthesize.timeout_s", self.timeout_s, "more than 0")
        require(bool(self.mutations), "synthesize.mutations", self.mutations, "at least one")
        for name in self.mutations:
            require_choice("synthesize.mutations", name, PROGRAM_MUTATIONS + TEACHER_MUTATIONS)
        written = [name for name in self.mutations if name in TEACHER_MUTATIONS]
        if self.generations and written and not self.teacher:
            raise ConfigError(
                f"synthesize.mutations names {', '.join(written)}, which a teacher writes; set synthesize.teacher to "
                "an endpoint's URL or to `engine`, or leave them out."
            )
        if self.generations and written and self.samples < 2:
            raise ConfigError(
                "synthesize.samples is 1: one answer agrees with itself. Take 2 or more if a teacher writes problems."
            )
        endpoint = self.teacher.startswith(("http://", "https://"))
        known = endpoint or self.teacher in ("", "engine")
        require(known, "synthesize.teacher", self.teacher, "a URL, `engine` or nothing")
        if endpoint and not self.model:
            raise ConfigError("synthesize.teacher is an endpoint; set synthesize.model to the model's name there.")

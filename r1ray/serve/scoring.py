"""Scores of reasoning steps by a process reward model; a plain class, `app.py` batches its calls."""

from collections.abc import Sequence
from typing import Any

from r1ray.models.loading import decoder, load_tokenizer
from r1ray.models.process_reward import ProcessRewardModel
from r1ray.reasoning.steps import find_steps, token_char_ends
from r1ray.types import Completion, Problem, Rollout

_NO_PROBLEM = Problem(id="", question="", answer="")


class StepScores:
    """A process reward model over answers given as ids."""

    def __init__(self, path: str, policy_path: str) -> None:
        self._decode = decoder(load_tokenizer(policy_path))
        self._model = ProcessRewardModel.from_path(path, policy_tokenizer=load_tokenizer(policy_path))

    def score(self, answers: Sequence[tuple[Sequence[int], Sequence[int]]]) -> list[list[dict[str, Any]]]:
        """For each (prompt ids, answer ids) its steps, `text` and `score`."""
        rollouts, steps = [], []
        for prompt_ids, token_ids in answers:
            ids = list(token_ids)
            text = self._decode(ids)
            steps.append(find_steps(text, token_char_ends(self._decode, ids)))
            completion = Completion(token_ids=ids, logprobs=[0.0] * len(ids), finish_reason="stop", text=text)
            rollouts.append(
                Rollout(problem=_NO_PROBLEM, prompt_ids=list(prompt_ids), completion=completion, policy_version=0)
            )
        scores = self._model.score(rollouts, steps)
        return [
            [{"text": step.text, "score": round(score, 4)} for step, score in zip(found, own, strict=True)]
            for found, own in zip(steps, scores, strict=True)
        ]

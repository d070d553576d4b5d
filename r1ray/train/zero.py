"""DeepSpeed ZeRO as a `TrainEngine`. The only module that imports deepspeed."""

import contextlib
import json
import logging
import math
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from r1ray.config.optim import OptimConfig, ZeroConfig
from r1ray.config.sft import PrecisionConfig
from r1ray.errors import CheckpointError, ConfigError
from r1ray.models.packed_attention import packed_attention_forward, use_packed_attention
from r1ray.models.policy import Policy, policy_state_dict
from r1ray.models.trunk import base_model
from r1ray.train.engine import Bound, adamw, learning_rate, parameter_groups, saved_module, set_rates, still_until
from r1ray.train.portable import PORTABLE, read_portable, write_portable

TAG = "zero"
"""Name of DeepSpeed's own folder inside a checkpoint."""
LAYOUT = "zero.json"
"""Says beside it how the states are sharded."""
SPLIT = {r".*\.(q|k|v|gate|up)_proj\.weight$": "column", r".*\.(o|down)_proj\.weight$": "row"}
"""Matrices that tensor-parallel ranks share, and along what; the head stays whole, for it is read without logits."""


class ZeroEngine:
    """A module under DeepSpeed ZeRO (arXiv 1910.02054), stages 0 to 3, on CPU or GPU.

    Micro-batches accumulate locally and are reduced once a step (`managed_gradient_accumulation: false`), so a step may
    have any number of them. On one rank at stage 0 nothing is flattened, reduced or copied.
    """

    def __init__(
        self,
        module: nn.Module,
        optim: OptimConfig,
        zero: ZeroConfig,
        *,
        dtype: str = "float32",
        total_steps: int,
        head_lr: float | None = None,
        device: torch.device | str = "cpu",
        groups: list[dict[str, Any]] | None = None,
        precision: PrecisionConfig | None = None,
        sequence: int = 1,
        tensor: int = 1,
    ) -> None:
        """Wrap `module`. The process group must exist when there is more than one rank (Ray Train makes it).

        Args:
            optim: AdamW, schedule, clipping.
            zero: stage and offload.
            dtype: type of the weights in the forward pass; the optimizer keeps float32.
            total_steps: optimizer steps that the schedule spans.
            head_lr: peak learning rate of parameters named `value_head`; None = `optim.lr`.
            device: where this rank computes.
            groups: of the optimizer; None = `parameter_groups`.
            precision: loss scaling where `dtype` is float16; None = the defaults.
            sequence: ranks, one behind the other, that share each row's tokens.
            tensor: the same, that share each matrix of the layers; at stages 1 and 2.
        """
        deepspeed = _deepspeed(torch.device(device))
        self.device = torch.device(device)
        self.rank, self.world_size = dist.get_rank(), dist.get_world_size()
        self._optim, self._zero, self._total_steps, self._step = optim, zero, total_steps, 0
        self._layout = {"zero.stage": zero.stage, "resources.learners": self.world_size, "policy.dtype": dtype}
        if tensor > 1:
            self._layout["parallel.tensor"] = tensor
            module.config = _network(module).config  # where DeepSpeed reads the numbers of heads
        if self.device.type == "cuda":
            module.to(self.device)
        if sequence > 1:
            network = _network(module)
            use_packed_attention(network, shared=_ulysses(network.config, sequence))
        groups = parameter_groups(module, optim, head_lr) if groups is None else groups
        still_until(groups, lambda: self._step)
        self._engine, *_ = deepspeed.initialize(
            model=module,
            optimizer=adamw(groups, optim),
            config=deepspeed_config(optim, zero, dtype, precision, tensor),
            dist_init_required=False,
        )
        self._split = [part for part in self._engine.module.modules() if hasattr(part, "gather_params")]
        if tensor > 1:
            self._engine.first_dataloader_check.remove()  # ranks draw the same rows; it cannot compare packed batches
            if not self._split:
                raise ConfigError(f"parallel.tensor is {tensor}, but none of {', '.join(SPLIT)} is in this model.")
        self._clipped_norm: float | None = None
        self._bound: Bound | None = None
        self._follow_bound()
        if zero.stage == 0:
            self._engine.clip_fp32_gradients = self._clip  # DeepSpeed's own forgets the norm
            if self.world_size == 1:
                self._engine.enable_backward_allreduce = False  # a reduction over one rank copies every gradient twice
        if zero.stage == 3:
            for reader, parameter in _external_parameters(module):
                deepspeed.zero.register_external_parameter(reader, parameter)
        self._gathered = deepspeed.zero.GatheredParameters
        self._fragments = deepspeed.utils
        self.module: nn.Module = self._engine.module

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The module's forward pass under ZeRO's hooks; without gradients it must be called by every rank alike."""
        return self._engine(*args, **kwargs)

    def backward(self, loss: Tensor) -> None:
        """Accumulate the gradients of one micro-batch."""
        self._engine.backward(loss)

    def step(self, factor: float | None = None, bound: Bound | None = None) -> dict[str, float]:
        """Reduce, clip, update; returns `grad_norm` (before clipping), `lr` (of what is not a value head) and, in
        float16, `loss_scale`. A step whose gradients overflow in float16 is skipped, and its norm is infinite."""
        factor = learning_rate(self._optim, self._step, self._total_steps) if factor is None else factor
        set_rates(self._engine.optimizer.param_groups, factor, self._step)
        self._bound = bound
        self._engine.step()
        self._step += 1
        norm = self._engine.get_global_grad_norm() if self._clipped_norm is None else self._clipped_norm
        figures = {"grad_norm": math.nan if norm is None else float(norm), "lr": self._optim.lr * factor}
        if self._engine.fp16_enabled():
            figures["loss_scale"] = float(self._engine.optimizer.loss_scale)
        return figures

    def all_reduce(self, value: Tensor) -> Tensor:
        """Sum over ranks."""
        if self.world_size > 1:
            value = value.clone()
            dist.all_reduce(value)
        return value

    def all_reduce_max(self, value: int) -> int:
        """The largest over ranks."""
        if self.world_size == 1:
            return value
        tensor = torch.tensor(value, device=self.device)
        dist.all_reduce(tensor, op=dist.ReduceOp.MAX)
        return int(tensor)

    def weights(self) -> Mapping[str, Tensor]:
        """The model's weights by their Hugging Face names. Under ZeRO-3 they are gathered, and copied on rank 0; other
        ranks get nothing."""
        policy = saved_module(self.module)
        if self._split:
            with _whole(self._split):
                return {name: tensor.clone() for name, tensor in policy_state_dict(policy).items()}
        if self._zero.stage < 3:
            return policy_state_dict(policy)
        with self._gathered(list(policy.parameters()), modifier_rank=None):
            if self.rank:
                return {}
            whole = policy_state_dict(policy)
            copies = {tensor.data_ptr(): tensor.clone() for tensor in whole.values()}  # what is tied stays tied
            return {name: copies[tensor.data_ptr()] for name, tensor in whole.items()}

    def save(self, folder: Path) -> None:
        """Write weights, optimizer state and step through DeepSpeed."""
        state = {"optimizer_step": self._step}
        self._engine.save_checkpoint(str(folder), tag=TAG, client_state=state, save_latest=False)
        if self._zero.stage and self._zero.portable and self._step and not self._split:
            write_portable(folder, self.module, self._engine.optimizer, self._fragments, self._step, self.rank)
        if self.rank == 0:
            (folder / LAYOUT).write_text(json.dumps(self._layout))

    def load(self, folder: Path) -> None:
        """Read what `save` wrote.

        Raises:
            CheckpointError: nothing is there, or it is of another stage, number of ranks or type: states are sharded.
        """
        path = folder / LAYOUT
        if not path.is_file():
            raise CheckpointError(f"{folder} holds no checkpoint of the trainer: {path.name} is not there.")
        layout = json.loads(path.read_text())
        if layout != self._layout and self._load_elsewise(folder, layout):
            return
        _, client_state = self._engine.load_checkpoint(str(folder), tag=TAG)
        self._step = client_state["optimizer_step"]

    def _load_elsewise(self, folder: Path, layout: Mapping[str, Any]) -> bool:
        """Read a checkpoint of another number of ranks or stage from its whole tensors; False if DeepSpeed's own files
        serve, which at stage 0 are whole."""
        changed = {name for name in self._layout if layout.get(name) != self._layout[name]}
        if changed == {"resources.learners"} and self._zero.stage == 0:
            return False
        if changed <= {"resources.learners", "zero.stage"} and self._zero.stage and (folder / PORTABLE).is_file():
            gathered = self._gathered if self._zero.stage == 3 else None
            self._step = read_portable(
                folder, self.module, self._engine.optimizer, self._fragments, gathered, self.rank
            )
            return True
        raise CheckpointError(
            f"{folder} was written with {_spelled(layout)}; this run has {_spelled(self._layout)}. Resume with the "
            "settings that the run was started with. (The number of learners may change at stage 0, and above it where "
            "the run wrote zero.portable checkpoints.)"
        )

    def _clip(self) -> None:
        parameters = [parameter for parameter in self.module.parameters() if parameter.grad is not None]
        norm = nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
        self._clipped_norm = float(norm)
        nn.utils.clip_grads_with_norm_(parameters, self._limit(self._clipped_norm), norm)

    def _limit(self, norm: float) -> float:
        """What the gradients are clipped at in this step."""
        bound, self._bound = self._bound, None  # asked once a step
        limit = self._optim.max_grad_norm if bound is None else bound(norm)
        return limit or math.inf

    def _follow_bound(self) -> None:
        """ZeRO's optimizers clip at `clip_grad`, which is set here once the norm is known and before it is used."""
        optimizer = self._engine.optimizer
        clip = getattr(optimizer, "unscale_and_clip_grads", None)
        if clip is None:
            return

        def clip_at_bound(*args: Any, **kwargs: Any) -> Any:
            if self._bound is not None:  # once a step, though there may be a call for each group of parameters
                scale = float(getattr(optimizer, "loss_scale", 1.0))
                optimizer.clip_grad = self._limit(float(args[-1]) / scale)
            return clip(*args, **kwargs)

        optimizer.unscale_and_clip_grads = clip_at_bound


def _spelled(layout: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in layout.items())


@contextlib.contextmanager
def _whole(layers: Iterable[Any]) -> Iterator[None]:
    """Every rank's part of each matrix put together for a while. Every rank must enter."""
    parts = [(layer.weight, layer.weight.data) for layer in layers]
    try:
        for layer in layers:
            layer.gather_params([layer.weight, None])
        yield
    finally:
        for weight, part in parts:
            weight.data = part  # the very tensor that ZeRO knows


def deepspeed_config(
    optim: OptimConfig, zero: ZeroConfig, dtype: str, precision: PrecisionConfig | None = None, tensor: int = 1
) -> dict[str, Any]:
    """DeepSpeed's own configuration."""
    scaling = precision or PrecisionConfig(dtype=dtype)
    stage: dict[str, Any] = {"stage": zero.stage, "overlap_comm": False}
    if zero.offload != "none":
        stage["offload_optimizer"] = {"device": "cpu"}
    if zero.offload == "all":
        stage["offload_param"] = {"device": "cpu"}
    config: dict[str, Any] = {
        "train_micro_batch_size_per_gpu": 1,  # of no consequence: losses are divided by our own token counts
        "gradient_accumulation_steps": 1,
        "managed_gradient_accumulation": False,
        "gradient_clipping": optim.max_grad_norm or math.inf,  # without a limit the norm would not be known
        "zero_optimization": stage,
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
        "bf16": {"enabled": dtype == "bfloat16"},
        "fp16": {
            "enabled": dtype == "float16",
            "loss_scale": 0,  # dynamic
            "initial_scale_power": scaling.initial_scale_power,
            "loss_scale_window": scaling.scale_window,
            "min_loss_scale": scaling.min_scale,
        },
        "steps_per_print": 2**31,
    }
    if tensor > 1:
        specs = [{"patterns": [pattern], "partition_type": kind} for pattern, kind in SPLIT.items()]
        plan = {"use_default_specs": False, "layer_specs": specs}
        config["tensor_parallel"] = {"autotp_size": tensor, "partition_config": plan}
    return config


def _external_parameters(module: nn.Module) -> list[tuple[nn.Module, nn.Parameter]]:
    policies = [m for m in module.modules() if isinstance(m, Policy)]
    return [pair for policy in policies for pair in policy.external_parameters()]


def _network(module: nn.Module) -> Any:
    """The Hugging Face model in what is trained."""
    saved = saved_module(module)
    return base_model(saved.model if isinstance(saved, Policy) else saved)


def _ulysses(shape: Any, ranks: int) -> Any:
    """Attention of rows whose tokens `ranks` ranks share: each attends with a part of the heads, over all tokens."""
    from deepspeed.runtime.sequence_parallel.ulysses_sp import UlyssesSPAttentionHF

    heads, starts = shape.num_attention_heads, range(0, dist.get_world_size(), ranks)
    groups = [dist.new_group(list(range(start, start + ranks))) for start in starts]
    try:
        return UlyssesSPAttentionHF(
            attn=packed_attention_forward,
            batch_size=1,
            attn_head_count=heads,
            attn_head_size=getattr(shape, "head_dim", None) or shape.hidden_size // heads,
            kv_head_count=shape.num_key_value_heads,
            num_hidden_layers=shape.num_hidden_layers,
            process_group=groups[dist.get_rank() // ranks],
            seq_length_is_variable=True,
        )
    except ValueError as error:
        raise ConfigError(f"parallel.sequence {ranks} does not fit this model: {error}. Give a divisor.") from error


def _deepspeed(device: torch.device) -> Any:
    """DeepSpeed, imported quietly and told not to compile anything: its shared-memory all-reduce takes minutes to
    build."""
    os.environ.setdefault("DS_ACCELERATOR", device.type)
    os.environ.setdefault("DEEPSPEED_LOG_LEVEL", "error")
    os.environ.setdefault("LOCAL_RANK", str(device.index or 0))  # it insists, and only asks which device this is
    import deepspeed
    import deepspeed.ops

    logging.getLogger("DeepSpeed").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", r"`torch\.distributed\.\w+` is deprecated", FutureWarning)  # ZeRO-3, every call
    if device.type == "cpu":
        deepspeed.ops.__compatible_ops__ = {**deepspeed.ops.__compatible_ops__, "deepspeed_shm_comm": False}
    if not dist.is_initialized():
        raise RuntimeError(
            "ZeroEngine needs a process group: run it in a Ray Train worker, or call "
            "torch.distributed.init_process_group first."
        )
    if not deepspeed.comm.is_initialized():
        deepspeed.init_distributed(dist_backend=dist.get_backend(), dist_init_required=False, verbose=False)
    return deepspeed

"""Ranks, and a model shared out among them. In: the launcher's environment. Out: `Ranks`, a model.

Fully sharded data parallelism (FSDP2): each rank holds a share of every parameter, gradient and
moment, and sees whole layers only while it computes them. `docs/scale.md` has the arithmetic that
says why this serves for 7B, which the paper trained with pipeline parallelism.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import nn
from torch._C._distributed_c10d import HashStore
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import (
    CheckpointImpl,
    apply_activation_checkpointing,
    checkpoint_wrapper,
)
from torch.distributed.checkpoint.state_dict import StateDictOptions, set_model_state_dict
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard

from model.vlm import VisionLanguageModel

#: How ranks on a kind of device talk: on GPUs also from the CPU, where checkpoints are written.
BACKENDS = {"cuda": "cpu:gloo,cuda:nccl", "cpu": "gloo"}


@dataclass(frozen=True, slots=True)
class Ranks:
    """Which of how many processes this is, and its device. `together`: a process group is up."""

    rank: int
    world: int
    device: torch.device
    together: bool

    @property
    def first(self) -> bool:
        """Whether this process writes logs and exports."""
        return self.rank == 0

    def total(self, values: Iterable[float]) -> list[float]:
        """Each value summed over all ranks, in float64."""
        tensor = torch.tensor(list(values), dtype=torch.float64)
        if self.world > 1:
            tensor = tensor.to(self.device)
            dist.all_reduce(tensor)
        summed: list[float] = tensor.tolist()
        return summed

    def most(self, value: float) -> float:
        """The largest of all ranks' values."""
        tensor = torch.tensor(value, dtype=torch.float64)
        if self.world > 1:
            tensor = tensor.to(self.device)
            dist.all_reduce(tensor, dist.ReduceOp.MAX)
        return float(tensor)

    def wait(self) -> None:
        """Wait for all ranks."""
        if self.world > 1:
            dist.barrier()


def join(*, sharded: bool) -> Ranks:
    """Join the ranks that `torchrun` or Ray Train started, or be alone.

    `sharded`: even one process shards, which is how it computes in bfloat16.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    rank = int(os.environ.get("RANK", "0"))
    local = int(os.environ.get("LOCAL_RANK", "0"))
    device = torch.device("cuda", local) if torch.cuda.is_available() else torch.device("cpu")
    if device.type == "cuda":
        torch.cuda.set_device(device)
    together = dist.is_initialized()
    if not together and (world > 1 or sharded):
        backend = BACKENDS[device.type]
        if world > 1:
            dist.init_process_group(backend)
        else:
            dist.init_process_group(backend, store=HashStore(), rank=0, world_size=1)
        together = True
    return Ranks(rank, world, device, together)


def leave(ranks: Ranks) -> None:
    """End the process group, where there is one."""
    if ranks.together and dist.is_initialized():
        dist.destroy_process_group()


def spread(
    model: VisionLanguageModel,
    weights: dict[str, torch.Tensor],
    ranks: Ranks,
    *,
    half: bool,
    recompute: bool,
    compiled: bool,
) -> None:
    """Put a model that was made on the meta device on its devices, and fill it.

    `weights` are the first rank's; the others may give none. `half`: compute in bfloat16, with
    float32 parameters, gradient sums and moments. `recompute` drops the activations inside layers;
    `compiled` compiles each layer.
    """
    layers = _layers(model)
    if recompute:
        chosen = set(map(id, layers))
        apply_activation_checkpointing(
            model,
            checkpoint_wrapper_fn=lambda m: checkpoint_wrapper(
                m, checkpoint_impl=CheckpointImpl.NO_REENTRANT
            ),
            check_fn=lambda m: id(m) in chosen,
        )
        layers = _layers(model)
    if compiled:
        for layer in layers:
            layer.compile()
    if not ranks.together:
        model.to_empty(device=ranks.device)
        model.load_state_dict(weights)
        return
    mesh = init_device_mesh(ranks.device.type, (ranks.world,))
    policy = (
        MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
        if half
        else MixedPrecisionPolicy()
    )
    # What the towers and the adaptor give is never changed in place.
    warnings.filterwarnings("ignore", "FSDP2-wrapped module .* returned a view", UserWarning)
    # The towers and the adaptor as units of their own: what comes in is then cast as they compute.
    for module in (*layers, model.low, model.high, model.adaptor, model):
        if module is not None:
            fully_shard(module, mesh=mesh, mp_policy=policy)
    # The trainer divides by the tokens of the global batch: gradients are to be summed. Each unit
    # has a factor of its own.
    for unit in model.modules():
        if isinstance(unit, FSDPModule):
            unit.set_gradient_divide_factor(1.0)
            # Without this a factor is NCCL's own operation, which gloo has not.
            unit.set_force_sum_reduction_for_comms(True)
    model.to_empty(device=ranks.device)
    set_model_state_dict(
        model,
        dict(weights) if ranks.first else {},
        options=StateDictOptions(full_state_dict=True, broadcast_from_rank0=True),
    )


def let_go(model: VisionLanguageModel) -> None:
    """Share parameters out again after a forward pass that no backward pass follows.

    The outermost ones stay whole until then, and the next step would compute with them as they
    were before the optimiser changed them.
    """
    if isinstance(model, FSDPModule):
        model.reshard()


def _layers(model: VisionLanguageModel) -> list[nn.Module]:
    """What is computed, and shared out, as one: the blocks of the towers, the LM's layers."""
    towers = [model.low.blocks, *([model.high.blocks] if model.high is not None else [])]
    return [layer for stack in (*towers, model.language.layers) for layer in stack]

"""A training step as one rank of 1,024 has it: torch's real code, on tensors without contents.

    seen = rehearse(shape, Plan(1024, data=128, tensor=8, zero=3))
    seen.memory, seen.calls, seen.moved

FakeTensorMode lets every operation run that a real step runs, with shapes and types but no memory; the
"fake" process group answers collectives at once. What is counted is exact: bytes by kind, and what
collectives were called. What is not there is time.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import torch
import torch.distributed as dist
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import Replicate, Shard
from torch.distributed.tensor._sharding_prop import ShardingPropagator
from torch.distributed.tensor.parallel import (
    ColwiseParallel,
    PrepareModuleInput,
    RowwiseParallel,
    loss_parallel,
    parallelize_module,
)
from torch.testing._internal.distributed.fake_pg import FakeStore
from torch.utils._pytree import tree_leaves

from hpclab.models.memory import Memory
from hpclab.models.plan import Plan
from hpclab.models.transformer import Transformer
from hpclab.parallel.memory_by_kind import (
    TYPES,
    Float32Adam,
    Live,
    first_step,
    here,
    micro_batch,
    recompute_blocks,
)
from hpclab.workloads.gpt import GPT

COLLECTIVES = {  # an operator -> the collective
    "c10d::allreduce_": "all_reduce", "_c10d_functional::all_reduce": "all_reduce",
    "c10d::_allgather_base_": "all_gather", "_c10d_functional::all_gather_into_tensor": "all_gather",
    "c10d::_reduce_scatter_base_": "reduce_scatter",
    "_c10d_functional::reduce_scatter_tensor": "reduce_scatter",
}  # fmt: skip


@dataclass(frozen=True)
class Rehearsal:
    """A rank's `memory` at the peak; by collective the `calls`, and bytes `moved`: those of whole vectors."""

    memory: Memory
    calls: dict[str, int]
    moved: dict[str, int]


class Collectives(Live):
    """Live, and what collectives of numbers this rank calls."""

    def __init__(self, model: nn.Module, optimizer: Float32Adam):
        super().__init__(model, optimizer)
        self.calls: Counter[str] = Counter()
        self.moved: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = super().__torch_dispatch__(func, types, args, kwargs)
        name = COLLECTIVES.get(func.name())
        if name and not self.paused and result is not NotImplemented:
            tensors = [one for one in tree_leaves((args, result)) if isinstance(one, torch.Tensor)]
            self.calls[name] += 1
            self.moved[name] += max(one.nbytes for one in tensors)
        return result


def rehearse(shape: Transformer, plan: Plan) -> Rehearsal:
    """The course's GPT trained as rank 0 of `plan.gpus`: two micro-batches, or the one there is.

    `zero` 3 is FSDP2, 0 gradients that are summed after the last micro-batch; `tensor` parallelism is
    DTensor's. ValueError for what else a plan can say, and in a process that is a rank already.
    """
    if plan.zero not in (0, 3) or plan.pipeline * plan.context > 1 or plan.sequence_parallel:
        raise ValueError("rehearse knows data (zero = 0 or 3) and tensor parallelism: leave out the rest.")
    if dist.is_initialized():
        raise ValueError("rehearse makes a process group of its own: call it where none is initialised.")
    plan.refuse_unless_it_fits(shape)
    dist.init_process_group("fake", rank=0, world_size=plan.gpus, store=FakeStore())
    try:
        mesh = init_device_mesh("cpu", (plan.data, plan.tensor), mesh_dim_names=("data", "tensor"))
        return _rehearse(shape, plan, mesh["data"], mesh["tensor"])
    finally:
        dist.destroy_process_group()


def _rehearse(shape: Transformer, plan: Plan, data: DeviceMesh, tensor: DeviceMesh) -> Rehearsal:
    fake = FakeTensorMode(allow_non_fake_inputs=True)
    sharded = plan.zero == 3
    usual = torch.get_default_dtype()
    torch.set_default_dtype(usual if sharded else TYPES[plan.precision])  # FSDP's shards stay in float32
    try:
        with fake:
            model = GPT(shape)
    finally:
        torch.set_default_dtype(usual)
    if plan.tensor > 1:
        split(model, tensor)
    if plan.recompute == "full":
        recompute_blocks(model)
    if sharded:
        shard(model, data, TYPES[plan.precision])
    with fake, loss_parallel() if plan.tensor > 1 else ExitStack():
        tokens = torch.zeros(plan.micro_batch, shape.sequence, dtype=torch.long)
        optimizer = Float32Adam(model)
        first_step(model, tokens, optimizer)
        with Collectives(model, optimizer) as seen, only_parts(seen):
            for _ in range(min(2, plan.micro_batches)):
                micro_batch(model, tokens)
            for parameter in () if sharded or plan.data == 1 else model.parameters():
                dist.all_reduce(here(parameter.grad), group=data.get_group())
    return Rehearsal(seen.peak, dict(seen.calls), dict(seen.moved))


@contextmanager
def only_parts(live: Live) -> Iterator[None]:
    """DTensor runs an operation on whole shapes to learn the result's; no rank has those tensors."""
    learn = ShardingPropagator._propagate_tensor_meta_non_cached

    def unseen(*args: Any) -> Any:
        live.paused = True
        try:
            return learn(*args)
        finally:
            live.paused = False

    with patch.object(ShardingPropagator, "_propagate_tensor_meta_non_cached", unseen):
        yield


def split(model: GPT, mesh: DeviceMesh) -> None:
    """Tensor parallelism by DTensor: heads, the MLP's inside and the vocabulary over the ranks of `mesh`."""
    for block in model.blocks:
        columns = {f"attention.{name}": ColwiseParallel() for name in ("query", "key", "value")}
        rows = {"attention.out": RowwiseParallel(), "mlp.down": RowwiseParallel()}
        once = PrepareModuleInput(input_layouts=Replicate(), desired_input_layouts=Replicate())
        parallelize_module(block, mesh, {"attention": once, **columns, **rows, "mlp.up": ColwiseParallel()})
        block.attention.heads //= mesh.size()
    ends = {
        "token": RowwiseParallel(input_layouts=Replicate()),
        "output": ColwiseParallel(output_layouts=Shard(-1), use_local_output=False),
    }
    parallelize_module(model, mesh, ends)
    if model.shape.tied:
        model.output.weight = model.token.weight


def shard(model: GPT, mesh: DeviceMesh, dtype: torch.dtype) -> None:
    """FSDP2, block by block; computed in `dtype`, gradients summed in float32."""
    policy = MixedPrecisionPolicy(param_dtype=dtype, reduce_dtype=torch.float32)
    for module in (*model.blocks, model):
        fully_shard(module, mesh=mesh, mp_policy=policy)

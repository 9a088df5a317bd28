"""A training step as one rank of 1,024 has it: torch's real code, on tensors without contents.

FakeTensorMode runs every operation of a real step with shapes and types but no memory; the "fake" process
group answers collectives at once. Bytes by kind and collectives are counted exactly; there is no time.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import torch
import torch.distributed as dist
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy
from torch.distributed.tensor import Replicate, Shard, parallel
from torch.distributed.tensor._sharding_prop import ShardingPropagator
from torch.testing._internal.distributed.fake_pg import FakeStore

from hpclab.models.plan import Plan
from hpclab.models.transformer import Transformer
from hpclab.parallel.memory_by_kind import TYPES, Live, micro_batches, own_part, recompute_blocks
from hpclab.parallel.sharded import by_fsdp
from hpclab.parallel.tensor import split_by_pytorch
from hpclab.workloads.gpt import GPT


def rehearse(shape: Transformer, plan: Plan) -> Live:
    """Train the course's GPT as rank 0 of `plan.gpus`, two micro-batches or the only one; return the counts.

    `zero` 3 is FSDP2, 0 sums gradients after the last micro-batch; `tensor` is DTensor's. ValueError for what
    else a plan can say, and in a process that is a rank already.
    """
    if plan.zero not in (0, 3) or plan.pipeline * plan.context > 1 or plan.sequence_parallel:
        raise ValueError("rehearse knows data (zero = 0 or 3) and tensor parallelism: leave out the rest.")
    if dist.is_initialized():
        raise ValueError("rehearse makes a process group of its own: call it where none is initialised.")
    plan.refuse_unless_it_fits(shape)
    fake, sharded = FakeTensorMode(allow_non_fake_inputs=True), plan.zero == 3
    dist.init_process_group("fake", rank=0, world_size=plan.gpus, store=FakeStore())
    with ExitStack() as group:
        group.callback(dist.destroy_process_group)
        mesh = init_device_mesh("cpu", (plan.data, plan.tensor), mesh_dim_names=("data", "tensor"))
        with fake:
            model = GPT(shape)
        for parameter in () if sharded else model.parameters():  # FSDP keeps float32, and gathers 16 bits
            parameter.data = parameter.data.to(TYPES[plan.precision])
        if plan.tensor > 1:
            cut_vocabulary(split_by_pytorch(model, mesh["tensor"]), mesh["tensor"])
            group.enter_context(parallel.loss_parallel())
        if plan.recompute == "full":
            recompute_blocks(model)
        if sharded:  # computed in 16 bits, gradients summed in float32
            policy = MixedPrecisionPolicy(param_dtype=TYPES[plan.precision], reduce_dtype=torch.float32)
            by_fsdp(model, mesh=mesh["data"], mp_policy=policy)
        with fake, Live(model) as live, ignoring_whole_tensors(live):
            tokens = torch.zeros(plan.micro_batch, shape.sequence, dtype=torch.long)
            micro_batches(model, tokens, min(2, plan.micro_batches))
            for parameter in () if sharded or plan.data == 1 else model.parameters():
                assert parameter.grad is not None
                dist.all_reduce(own_part(parameter.grad), group=mesh["data"].get_group())
    return live


@contextmanager
def ignoring_whole_tensors(live: Live) -> Iterator[None]:
    """Pause `live` while DTensor runs an operation on whole tensors, which no rank has, to learn its result's
    shape."""
    learn = ShardingPropagator._propagate_tensor_meta_non_cached

    def unseen(*args: Any) -> Any:
        live.paused = True
        result = learn(*args)
        live.paused = False
        return result

    with patch.object(ShardingPropagator, "_propagate_tensor_meta_non_cached", unseen):
        yield


def cut_vocabulary(model: GPT, mesh: DeviceMesh) -> None:
    """Cut embedding and output layer by DTensor, as Megatron does: each rank of `mesh` has some tokens'."""
    token = parallel.RowwiseParallel(input_layouts=Replicate())
    output = parallel.ColwiseParallel(output_layouts=Shard(-1), use_local_output=False)
    parallel.parallelize_module(model, mesh, {"token": token, "output": output})
    if model.shape.tied:
        model.output.weight = model.token.weight

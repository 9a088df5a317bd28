# An MLP cut over ranks by tensor parallelism, held against one process.
# Run: torchrun --standalone --nproc-per-node 2 10_tensor_parallel.py
import torch
import torch.distributed as dist
from torch.nn.functional import gelu

gpu = torch.cuda.device_count() >= 2  # and one node: rank is the local rank
dist.init_process_group("nccl" if gpu else "gloo")
rank, ranks = dist.get_rank(), dist.get_world_size()
device = f"cuda:{rank}" if gpu else "cpu"


def summed(x):
    total = x.contiguous().clone()
    dist.all_reduce(total)
    return total


class Enter(torch.autograd.Function):
    # Every rank uses x, so backward its gradient is the sum of theirs.
    forward = staticmethod(lambda ctx, x: x.clone())
    backward = staticmethod(lambda ctx, gradient: summed(gradient))


class Leave(torch.autograd.Function):
    # Every rank has a summand; backward each has the whole gradient.
    forward = staticmethod(lambda ctx, x: summed(x))
    backward = staticmethod(lambda ctx, gradient: gradient)


torch.manual_seed(0)  # the same numbers on every rank
x, a, b = torch.rand(3, 256, 256, dtype=torch.float64).to(device)
alone = gelu(x.requires_grad_() @ a) @ b
columns, rows = a.chunk(ranks, 1)[rank], b.chunk(ranks, 0)[rank]
split = Leave.apply(gelu(Enter.apply(x) @ columns) @ rows)
right, mine = (torch.autograd.grad(y.sum(), x)[0] for y in (alone, split))
off = (mine - right).abs().max() / right.abs().max()
print(f"rank {rank} of {ranks}: its gradient is off by {off.item():.0e}")
dist.destroy_process_group()  # or its threads outlive the program

"""A rank with little memory: what does not fit fails as it would on a GPU, with torch's own error."""

import contextlib
import resource
from collections.abc import Callable, Iterator

import psutil
import torch
from torch.utils.flop_counter import FlopCounterMode

from hpclab.models.transformer import Transformer
from hpclab.parallel.data import gradients, trained
from hpclab.workloads.gpt import GPT

ROOM = 256 * 2**20  # bytes


@contextlib.contextmanager
def room_for(size: int) -> Iterator[None]:
    """Limit, as a context, this process to `size` bytes beyond what it has; OSError where not on Linux. In a
    pool's rank, a process that ends afterwards, what fails can hurt nothing else."""
    held = getattr(psutil.Process().memory_info(), "data", None)
    if held is None:
        raise OSError("Only Linux says how much memory a process has taken: run this cell on Linux.")
    before = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (held + size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


def step(how: Callable[..., float], shape: Transformer, batch: int = 16) -> str:
    """Run ``how(model, inputs, targets)``, forward and backward of `batch` sequences, in ROOM. Return as text
    the loss it returns, the gradient's norm and the FLOP of matrix products, or torch's own error."""
    torch.manual_seed(0)
    model, tokens = GPT(shape), torch.randint(shape.vocabulary, (batch, shape.sequence + 1))
    with FlopCounterMode(display=False):
        model(tokens[:1, :1])  # what the counter itself needs is taken before the limit
    try:
        with FlopCounterMode(display=False) as counted, room_for(ROOM):
            loss = how(model, tokens[:, :-1], tokens[:, 1:])
    except (RuntimeError, OSError) as error:
        if isinstance(error, RuntimeError) and "can't allocate memory" not in str(error):
            raise
        return str(error).split(": ")[-1]
    norm = torch.cat([one.flatten() for one in gradients(trained(model))]).norm()
    return f"loss {loss:.4f}, gradient {norm:.4f}, {counted.get_total_flops() / 1e9:.0f} GFLOP"

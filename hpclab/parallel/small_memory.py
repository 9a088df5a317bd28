"""A rank with little memory: what does not fit fails as it would on a GPU, with torch's own error.

with room_for(256 * 2**20):
    loss(model(inputs), targets).backward()     # RuntimeError: ... can't allocate memory
"""

import contextlib
import resource
from collections.abc import Callable, Iterator

import psutil
import torch
from torch.utils.flop_counter import FlopCounterMode

from hpclab import checks
from hpclab.models.transformer import Transformer
from hpclab.parallel.data import gradients, trained
from hpclab.workloads.gpt import GPT


@contextlib.contextmanager
def room_for(size: int) -> Iterator[None]:
    """Inside, this process gets no more than `size` bytes beyond what it has. Linux only: elsewhere OSError.

    In a pool's rank, which is thrown away afterwards, nothing else can be hurt by what fails.
    """
    checks.integer("size", size, 2**20, 2**50, "bytes")
    held = getattr(psutil.Process().memory_info(), "data", None)
    if held is None:
        raise OSError("Only Linux says how much memory a process has taken: run this cell on Linux.")
    before = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (held + size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


def out_of_memory(error: BaseException) -> bool:
    """Whether it says that there was no memory left, on a CPU or on a GPU."""
    return any(words in repr(error) for words in ("can't allocate memory", "MemoryError"))


def step(how: Callable[..., float], shape: Transformer, batch: int = 16, room: int = 256 * 2**20) -> str:
    """What ``how(model, inputs, targets)``, forward and backward of `batch` sequences, comes to in `room`
    bytes: the loss it returns, the gradient's size and the FLOP of matrix products; or torch's own error."""
    torch.manual_seed(0)
    model, tokens = GPT(shape), torch.randint(shape.vocabulary, (batch, shape.sequence + 1))
    with FlopCounterMode(display=False):
        model(tokens[:1, :1])  # what the counter itself needs is taken before the limit
    try:
        with FlopCounterMode(display=False) as counted, room_for(room):
            loss = how(model, tokens[:, :-1], tokens[:, 1:])
    except (RuntimeError, OSError) as error:
        if not isinstance(error, OSError) and not out_of_memory(error):
            raise
        return str(error).split(": ")[-1]
    norm = torch.cat([one.flatten() for one in gradients(trained(model))]).norm()
    return f"loss {loss:.4f}, gradient {norm:.4f}, {counted.get_total_flops() / 1e9:.0f} GFLOP"

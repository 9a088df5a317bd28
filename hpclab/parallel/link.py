"""A link of stated speed between ranks of one machine: what goes over it is *emulated*. The all-reduce is a
real one; its result is handed out when the link would have brought it, or when it is there, if that is later.
"""

import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor

from hpclab import checks


@dataclass(frozen=True)
class Link:
    """What joins one rank to the next: `bandwidth` in bytes/s, `latency` in seconds."""

    bandwidth: float
    latency: float = 0.0

    def __post_init__(self) -> None:
        checks.number("bandwidth", self.bandwidth, 1, 1e15)
        checks.number("latency", self.latency, 0, 60)

    def seconds(self, size: int, ranks: int) -> float:
        """Seconds of an all-reduce of `size` bytes: on a ring every rank sends 2 (p - 1) / p of them."""
        return self.latency + 2 * (ranks - 1) / ranks * size / self.bandwidth


class Message(NamedTuple):
    """What the link carried: bytes of the tensor, begin and end in seconds on time.monotonic()."""

    label: str
    bytes: int
    begin: float
    end: float


class Wire:
    """All-reduces over `link` (None: the machine's own), one after the other; `messages` are those done."""

    def __init__(self, link: Link | None = None):
        self.link, self.ranks = link, dist.get_world_size()
        self.messages: list[Message] = []
        self._free = 0.0  # when the last message has left the link
        self._courier = ThreadPoolExecutor(1)  # waits for one message after the other

    def all_reduce(self, tensor: Tensor, label: str = "") -> Future[Tensor]:
        """Begin to sum `tensor` in place over all ranks; returns at once; `.result()` waits for the sum."""
        ready = torch.tensor(time.time(), dtype=torch.float64)  # becomes the last rank's
        works = [dist.all_reduce(tensor, async_op=True)]
        if self.link:
            works.append(dist.all_reduce(ready, dist.ReduceOp.MAX, async_op=True))
        return self._courier.submit(self._deliver, tensor, label, works, ready)

    def _deliver(self, tensor: Tensor, label: str, works: list, ready: Tensor) -> Tensor:
        """Return the sum when the link would have brought it; the last rank was there at `ready`."""
        if tensor.is_cuda:  # a stream of its own: the backward pass must not wait as well
            torch.cuda.set_stream(torch.cuda.Stream(tensor.device))
        for work in works:
            work.wait()
        if tensor.is_cuda:
            torch.cuda.current_stream().synchronize()
        age = max(0.0, time.time() - ready.item())
        there = time.monotonic()
        begin = max(self._free, there - age)
        emulated = begin + self.link.seconds(tensor.nbytes, self.ranks) if self.link else there
        self._free = max(emulated, there)
        self.messages.append(Message(label, tensor.nbytes, begin, self._free))
        time.sleep(max(0.0, self._free - time.monotonic()))
        return tensor

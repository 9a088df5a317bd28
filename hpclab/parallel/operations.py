"""One call of a collective through a library, ready to be timed and checked.

The input of rank r is r + 1 in every element, so that `expected` knows every element of the result.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy
from numpy.typing import NDArray

from hpclab import schedules
from hpclab.parallel.execution import Execution
from hpclab.parallel.transports import MpiTransport, TorchTransport

TWO_RANKS = ("ping_pong", "stream")
WINDOW = 64  # messages on their way before rank 0 of a stream waits: osu_bw's window


@dataclass
class Operation:
    """`call()` does it once; `fill()` writes the input; `result` holds what came out, None where nothing."""

    call: Callable[[], Any]
    fill: Callable[[], Any]
    result: Any

    def wrong(self, expected: NDArray[Any] | None) -> int:
        """How many elements of the result are not what they should be."""
        if self.result is None or expected is None:
            return 0
        found = self.result if isinstance(self.result, numpy.ndarray) else self.result.cpu().numpy()
        return int((found != expected).sum())


def expected(collective: str, rank: int, ranks: int, elements: int) -> NDArray[Any] | None:
    """The result where rank r put in r + 1: None where the rank has none."""
    total, block = ranks * (ranks + 1) / 2, elements // ranks
    values: dict[str, Any] = {
        "broadcast": numpy.ones(elements),
        "reduce": numpy.full(elements, total) if rank == 0 else None,
        "all_reduce": numpy.full(elements, total),
        "all_gather": numpy.repeat(numpy.arange(1.0, ranks + 1), block),
        "reduce_scatter": numpy.full(block, total),
        "all_to_all": numpy.repeat(numpy.arange(1.0, ranks + 1), block),
    }
    return values.get(collective)


def torch_operation(collective: str, elements: int, device: str) -> Operation:
    """Through torch.distributed's default group: gloo in memory, NCCL on a GPU."""
    import torch
    import torch.distributed as dist

    rank, ranks = dist.get_rank(), dist.get_world_size()
    whole, other = torch.empty(elements, device=device), torch.empty(elements, device=device)
    block = torch.empty(elements // ranks, device=device)
    other_rank = 1 - rank
    gather = getattr(dist, "all_gather_single", None) or dist.all_gather_into_tensor  # its name until 2.12
    scatter = getattr(dist, "reduce_scatter_single", None) or dist.reduce_scatter_tensor
    many = [whole] * window(elements)

    def ping_pong() -> None:
        for send in (rank == 0, rank == 1):
            dist.send(whole, other_rank) if send else dist.recv(whole, other_rank)

    def stream() -> None:
        for work in [(dist.irecv if rank else dist.isend)(part, other_rank) for part in many]:
            work.wait()  # type: ignore[union-attr]
        dist.send(block[:1], 0) if rank else dist.recv(block[:1], 1)

    calls: dict[str, tuple[Callable[[], Any], Any, Any]] = {
        "broadcast": (lambda: dist.broadcast(whole, 0), whole, whole),
        "reduce": (lambda: dist.reduce(whole, 0), whole, whole),
        "all_reduce": (lambda: dist.all_reduce(whole), whole, whole),
        "all_gather": (lambda: gather(whole, block), block, whole),
        "reduce_scatter": (lambda: scatter(block, whole), whole, block),
        "all_to_all": (lambda: dist.all_to_all_single(other, whole), whole, other),
        "ping_pong": (ping_pong, whole, None),
        "stream": (stream, whole, None),
    }
    call, given, result = calls[collective]
    return Operation(call, lambda: given.fill_(rank + 1), result)


def mpi_operation(collective: str, elements: int) -> Operation:
    """Through mpi4py's COMM_WORLD, in the calls that take buffers."""
    from mpi4py import MPI

    world, in_place = MPI.COMM_WORLD, MPI.IN_PLACE
    rank, ranks = world.rank, world.size
    whole, other = numpy.empty(elements, "f4"), numpy.empty(elements, "f4")
    block = numpy.empty(elements // ranks, "f4")
    many = window(elements)

    def ping_pong() -> None:
        for send in (rank == 0, rank == 1):
            world.Send(whole, 1 - rank) if send else world.Recv(whole, 1 - rank)

    def stream() -> None:
        MPI.Request.Waitall([(world.Irecv if rank else world.Isend)(whole, 1 - rank) for _ in range(many)])
        world.Send(block[:1], 0) if rank else world.Recv(block[:1], 1)

    def reduce() -> None:
        world.Reduce(in_place, whole) if rank == 0 else world.Reduce(whole, None)

    calls: dict[str, tuple[Callable[[], Any], Any, Any]] = {
        "broadcast": (lambda: world.Bcast(whole), whole, whole),
        "reduce": (reduce, whole, whole),
        "all_reduce": (lambda: world.Allreduce(in_place, whole), whole, whole),
        "all_gather": (lambda: world.Allgather(block, whole), block, whole),
        "reduce_scatter": (lambda: world.Reduce_scatter_block(whole, block), whole, block),
        "all_to_all": (lambda: world.Alltoall(whole, other), whole, other),
        "ping_pong": (ping_pong, whole, None),
        "stream": (stream, whole, None),
    }
    call, given, result = calls[collective]
    return Operation(call, lambda: given.fill(rank + 1), result)


def scheduled_operation(schedule: schedules.Schedule, library: str, device: str) -> Operation:
    """A schedule of ours, over the same library's sends and receives."""
    transport = MpiTransport() if library == "mpi" else TorchTransport()
    execution, where = Execution(schedule, transport), schedules.layout(schedule, transport.rank)
    buffer: Any = numpy.empty(schedule.buffer, "f4")
    if library != "mpi":
        import torch

        buffer = torch.from_numpy(buffer).to(device)

    def fill() -> None:
        buffer[where.input] = transport.rank + 1

    return Operation(lambda: execution(buffer), fill, buffer[where.result])


def window(elements: int) -> int:
    """Messages of a stream: at most 64 MiB altogether, where OSU sends 64 of any size."""
    return max(1, min(WINDOW, 2**26 // (4 * elements)))

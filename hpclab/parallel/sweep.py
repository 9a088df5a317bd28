"""Measures messages or a collective, on every rank: all sizes, warm-up, repeats, by the rank's own clock.

``mpiexec -n 4 python -m mpi4py -m hpclab.parallel.sweep '{"library": "mpi", ...}'`` is the same through MPI:
rank 0 prints what all ranks found, as one line of JSON.
"""

import json
import sys
import time
from collections.abc import Callable
from functools import partial
from operator import methodcaller
from typing import Any

import numpy

from hpclab import schedules, trace
from hpclab.parallel.execution import Execution, MpiTransport, TorchTransport
from hpclab.timing import Stopwatch

ITEM = 4  # bytes of a float
MOST_CALLS, CALL_BYTES = 10, 2**22
TWO_RANKS = ("ping_pong", "stream")
WINDOW = 64  # messages on their way before rank 0 of a stream waits: osu_bw's window
Observation = tuple[int, int, float, float, float, float]


def elements_of(collective: str, size: int, ranks: int) -> int:
    """How many floats a message of `size` bytes has: at least one, and a block for each rank where it is cut
    into blocks. nccl-tests rounds so as well; the size that is reported is that of these."""
    blocks = ranks if collective in ("all_gather", "reduce_scatter", "all_to_all") else 1
    return max(1, size // (ITEM * blocks)) * blocks


def calls_of(collective: str, size: int) -> int:
    """Number of calls in a repeat: several of a small `size` in bytes, which the clock could not resolve; one
    of a stream, which is many messages already."""
    return 1 if collective == "stream" else max(1, min(MOST_CALLS, CALL_BYTES // size))


def window(elements: int) -> int:
    """Number of messages in a stream: at most 64 MiB altogether, where OSU sends 64 of any size."""
    return max(1, min(WINDOW, 2**26 // (ITEM * elements)))


class Torch:
    """The collectives of torch.distributed's default group by name, gloo in memory or NCCL on a GPU:
    ``calls[name](input, result)``."""

    def __init__(self, library: str):
        import torch
        import torch.distributed as dist

        nccl = library == "nccl"
        if nccl and (not dist.is_nccl_available() or "nccl" not in dist.get_backend_config()):
            raise RuntimeError(
                "There is no NCCL here: it needs a GPU for each rank, as in "
                'Pool(nodes, gpus_per_node=1). Measure with library="gloo".'
            )
        self.rank, self.ranks, self.transport = dist.get_rank(), dist.get_world_size(), TorchTransport
        self.empty = partial(torch.empty, device="cuda" if nccl else "cpu")
        self.barrier, self.finish = dist.barrier, torch.cuda.synchronize if nccl else lambda: None
        self.send, self.receive, self.wait = dist.send, dist.recv, methodcaller("wait")
        self.begin_send, self.begin_receive = dist.isend, dist.irecv
        # their names until torch 2.12
        gather = getattr(dist, "all_gather_single", None) or dist.all_gather_into_tensor
        scatter = getattr(dist, "reduce_scatter_single", None) or dist.reduce_scatter_tensor
        self.calls: dict[str, Callable[[Any, Any], Any]] = {
            "broadcast": lambda whole, _: dist.broadcast(whole, 0),
            "reduce": lambda whole, _: dist.reduce(whole, 0),
            "all_reduce": lambda whole, _: dist.all_reduce(whole),
            "all_gather": lambda block, whole: gather(whole, block),
            "reduce_scatter": lambda whole, block: scatter(block, whole),
            "all_to_all": lambda whole, other: dist.all_to_all_single(other, whole),
        }


class Mpi:
    """The collectives of mpi4py's COMM_WORLD by name, in the calls that take buffers."""

    def __init__(self, library: str):
        from mpi4py import MPI

        world, in_place = MPI.COMM_WORLD, MPI.IN_PLACE
        self.rank, self.ranks, self.transport = world.rank, world.size, MpiTransport
        self.empty = partial(numpy.empty, dtype="f4")
        self.barrier, self.finish = world.Barrier, lambda: None
        self.send, self.receive, self.wait = world.Send, world.Recv, methodcaller("Wait")
        self.begin_send, self.begin_receive = world.Isend, world.Irecv
        self.calls: dict[str, Callable[[Any, Any], Any]] = {
            "broadcast": lambda whole, _: world.Bcast(whole),
            "reduce": lambda whole, _: world.Reduce(*((whole, None) if world.rank else (in_place, whole))),
            "all_reduce": lambda whole, _: world.Allreduce(in_place, whole),
            "all_gather": world.Allgather,
            "reduce_scatter": world.Reduce_scatter_block,
            "all_to_all": world.Alltoall,
        }


def ping_pong(library: Any, whole: Any) -> None:
    """Send `whole` from rank 0 to rank 1, and back."""
    for sender in (0, 1):
        (library.send if library.rank == sender else library.receive)(whole, 1 - library.rank)


def stream(library: Any, whole: Any) -> None:
    """Send `whole` `window` times at once from rank 0 to rank 1, which then answers with one element."""
    rank, begin = library.rank, library.begin_receive if library.rank else library.begin_send
    for message in [begin(whole, 1 - rank) for _ in range(window(len(whole)))]:
        library.wait(message)
    (library.send if rank else library.receive)(whole[:1], 1 - rank)


def operation(settings: dict[str, Any], library: Any, elements: int) -> tuple[Callable[[], Any], Any, Any]:
    """Return a function that runs the collective of `settings` once, its input and its result: a schedule of
    ours over the library's sends and receives, or the library's own."""
    collective, rank, ranks, empty = settings["collective"], library.rank, library.ranks, library.empty
    if settings["algorithm"]:
        schedule = schedules.collective(
            collective, settings["algorithm"], ranks, elements, ranks_per_node=settings["ranks_per_node"]
        )
        buffer, where = empty(schedule.buffer), schedules.layout(schedule, rank)
        execution = Execution(schedule, library.transport())
        return lambda: execution(buffer), buffer[where.input], buffer[where.result]
    whole, other, block = empty(elements), empty(elements), empty(elements // ranks)
    if collective in TWO_RANKS:
        return partial({"ping_pong": ping_pong, "stream": stream}[collective], library, whole), whole, whole
    apart = {"all_gather": (block, whole), "reduce_scatter": (whole, block), "all_to_all": (whole, other)}
    given, result = apart.get(collective, (whole, whole))
    return partial(library.calls[collective], given, result), given, result


def wrong_elements(collective: str, rank: int, ranks: int, result: Any) -> int:
    """Number of wrong elements in a collective's `result` if rank r's input is r + 1 in every element."""
    if collective in TWO_RANKS or (collective == "reduce" and rank):
        return 0
    total, blocks = ranks * (ranks + 1) / 2, numpy.arange(1.0, ranks + 1).repeat(len(result) // ranks)
    right: Any = {"broadcast": 1.0, "all_gather": blocks, "all_to_all": blocks}.get(collective, total)
    found = result if isinstance(result, numpy.ndarray) else result.cpu().numpy()
    return int((found != right).sum())


def sweep(settings: dict[str, Any], library: Any = None) -> list[Observation]:
    """Time the collective in `settings` on this rank, through `library` (an Mpi or a Torch; by default the
    one that `settings` name); return (bytes, repeat, seconds of one call, and of `timing.Sample` wall, cpu
    and waited of the whole repeat) for each size and repeat.

    A repeat begins with a barrier and is `calls_of` calls; calls that do not wait for each other (broadcasts,
    say) overlap, as they do in nccl-tests. The result of the first call is checked; RuntimeError if wrong.
    """
    library = library or (Mpi if settings["library"] == "mpi" else Torch)(settings["library"])
    collective, ranks, found = settings["collective"], library.ranks, list[Observation]()
    for size in settings["sizes"]:
        elements = elements_of(collective, size, ranks)
        call, given, result = operation(settings, library, elements)
        given[:] = library.rank + 1
        call()
        library.finish()
        if off := wrong_elements(collective, library.rank, ranks, result):
            raise RuntimeError(f"{off} elements of a {collective} of {elements} came out wrong.")
        calls = calls_of(collective, elements * ITEM)
        for repeat in range(-settings["warmup"], settings["repeats"]):
            given[:] = library.rank + 1
            library.finish()
            # the marks of a schedule's steps end here: there would be thousands
            with trace.listen(), Stopwatch() as watch:
                library.barrier()
                begin = time.perf_counter()
                for _ in range(calls):
                    call()
                library.finish()
                seconds = (time.perf_counter() - begin) / calls
            if repeat >= 0:
                sample = watch.sample
                found.append((elements * ITEM, repeat, seconds, sample.wall, sample.cpu, sample.waited))
    return found


def main() -> None:
    """Sweep over MPI with the settings in argv, as mpiexec starts it on every rank; print on rank 0."""
    from mpi4py import MPI

    found = MPI.COMM_WORLD.gather(sweep(json.loads(sys.argv[1])))
    if found is not None:
        version = " ".join(MPI.Get_library_version().split()[:3])
        print(json.dumps({"version": version, "ranks": found}), flush=True)


if __name__ == "__main__":
    main()

"""The part of a measurement that runs on every rank: sizes, warm-up, repeats, one clock.

``mpiexec -n 4 python -m mpi4py -m hpclab.parallel.sweep '{"library": "mpi", ...}'`` is the same through MPI:
rank 0 prints what all ranks found, as one line of JSON.
"""

import json
import sys
import time
from collections.abc import Callable
from typing import Any

from hpclab import schedules, trace
from hpclab.parallel import operations
from hpclab.timing import Stopwatch

ITEM = 4  # bytes of a float
MOST_CALLS, CALL_BYTES = 10, 2**22


def elements_of(collective: str, size: int, ranks: int) -> int:
    """How many floats a message of `size` bytes has: at least one, and a block for each rank where it is cut
    into blocks. nccl-tests rounds so as well; the size that is reported is that of these."""
    if collective in ("all_gather", "reduce_scatter", "all_to_all"):
        return max(1, size // (ITEM * ranks)) * ranks
    return max(1, size // ITEM)


def calls_of(collective: str, size: int) -> int:
    """How many calls, one after the other, make one repeat: several small ones, for the clock's sake; of a
    stream, which is many messages already, one."""
    return 1 if collective == "stream" else max(1, min(MOST_CALLS, CALL_BYTES // size))


Observation = tuple[int, int, float, float, float, float]


def sweep(settings: dict[str, Any]) -> list[Observation]:
    """On this rank: (bytes, repeat, seconds of one call, and of `timing.Sample` wall, cpu and waited of the
    whole repeat) for each size and repeat.

    A repeat begins with a barrier and is `calls_of` calls; calls that do not wait for each other (broadcasts,
    say) overlap, as they do in nccl-tests. The result of the first call is checked; RuntimeError if wrong.
    """
    if settings["library"] == "mpi":
        from mpi4py import MPI

        world = MPI.COMM_WORLD
        return _sweep(settings, world.rank, world.size, "cpu", world.Barrier, lambda: None)
    import torch
    import torch.distributed as dist

    device, wait = "cpu", lambda: None
    if settings["library"] == "nccl":
        if not dist.is_nccl_available() or "nccl" not in dist.get_backend_config():
            raise RuntimeError(
                "There is no NCCL here: it needs a GPU for each rank, as in "
                'Pool(nodes, gpus_per_node=1). Measure with library="gloo".'
            )
        device, wait = "cuda", torch.cuda.synchronize
    return _sweep(settings, dist.get_rank(), dist.get_world_size(), device, dist.barrier, wait)


def _sweep(
    settings: dict[str, Any], rank: int, ranks: int, device: str, barrier: Callable, wait: Callable
) -> list[Observation]:
    collective, found = settings["collective"], []
    for size in settings["sizes"]:
        elements = elements_of(collective, size, ranks)
        operation = _operation(settings, collective, elements, ranks, device)
        operation.fill()
        operation.call()
        wait()
        wrong = operation.wrong(operations.expected(collective, rank, ranks, elements))
        if wrong:
            raise RuntimeError(f"{wrong} elements of a {collective} of {elements} came out wrong.")
        calls = calls_of(collective, elements * ITEM)
        for repeat in range(-settings["warmup"], settings["repeats"]):
            operation.fill()
            wait()
            # the marks of a schedule's steps end here: there would be thousands
            with trace.listen(), Stopwatch() as watch:
                barrier()
                begin = time.perf_counter()
                for _ in range(calls):
                    operation.call()
                wait()
                seconds = (time.perf_counter() - begin) / calls
            if repeat >= 0:
                sample = watch.sample
                found.append((elements * ITEM, repeat, seconds, sample.wall, sample.cpu, sample.waited))
    return found


def _operation(
    settings: dict[str, Any], collective: str, elements: int, ranks: int, device: str
) -> operations.Operation:
    if settings["algorithm"]:
        schedule = schedules.collective(
            collective, settings["algorithm"], ranks, elements, ranks_per_node=settings["ranks_per_node"]
        )
        return operations.scheduled_operation(schedule, settings["library"], device)
    if settings["library"] == "mpi":
        return operations.mpi_operation(collective, elements)
    return operations.torch_operation(collective, elements, device)


def main() -> None:
    """Started by mpiexec, on every rank."""
    from mpi4py import MPI

    found = MPI.COMM_WORLD.gather(sweep(json.loads(sys.argv[1])))
    if found is not None:
        version = " ".join(MPI.Get_library_version().split()[:3])
        print(json.dumps({"version": version, "ranks": found}), flush=True)


if __name__ == "__main__":
    main()

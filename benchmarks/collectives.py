"""Time a ring all-reduce of ours against gloo's own, and our sweep against torch.distributed called bare.

python benchmarks/collectives.py [--ranks 4] [--repeats 9] [--backend local|slurm]
"""

import argparse
import json
import platform
import statistics
import time
from typing import Any

from dask.system import CPU_COUNT

from hpclab import schedules
from hpclab.cluster import Pool
from hpclab.experiments.measure_collectives import MeasureCollective

SIZES = (2**16, 2**20, 2**24)


def side_by_side(sizes: tuple[int, ...], repeats: int) -> dict[int, dict[str, list[float]]]:
    """Run on a rank: seconds of each all-reduce by size and name; they take turns, so that load slows all."""
    import torch
    import torch.distributed as dist

    from hpclab.parallel.execution import Execution, TorchTransport

    rank, ranks = dist.get_rank(), dist.get_world_size()
    right, left = (rank + 1) % ranks, (rank - 1) % ranks

    def by_hand(tensor: Any) -> None:
        """A ring all-reduce in place, as a learner writes it."""
        chunks = list(tensor.tensor_split(ranks))
        for adding in (True, False):
            for step in range(ranks - 1):
                out = (rank - adding - step) % ranks
                arriving = torch.empty_like(chunks[out - 1])
                receive, send = dist.irecv(arriving, left), dist.isend(chunks[out], right)
                receive.wait()
                send.wait()
                chunks[out - 1].copy_(chunks[out - 1] + arriving if adding else arriving)

    found: dict[int, dict[str, list[float]]] = {}
    for size in sizes:
        schedule = schedules.collective("all_reduce", "ring", ranks, size // 4)
        ways = {
            "gloo": dist.all_reduce,
            "executed ring": Execution(schedule, TorchTransport()),
            "ring by hand": by_hand,
        }
        times: dict[str, list[float]] = {name: [] for name in ways}
        for repeat in range(repeats + 1):
            for name, call in ways.items():
                tensor = torch.ones(size // 4)
                dist.barrier()
                begin = time.perf_counter()
                call(tensor)
                if repeat:
                    times[name].append(time.perf_counter() - begin)
                assert bool((tensor == ranks).all()), name
        found[size] = times
    return found


def bare(size: int, repeats: int) -> list[float]:
    """Run on a rank: seconds of an all-reduce of `size` bytes by torch.distributed, with nothing of ours."""
    import torch
    import torch.distributed as dist

    tensor, times = torch.ones(size // 4), []
    for repeat in range(repeats + 2):
        tensor.fill_(1)
        dist.barrier()
        begin = time.perf_counter()
        calls = max(1, min(10, 2**22 // size))
        for _ in range(calls):
            dist.all_reduce(tensor)
        if repeat >= 2:
            times.append((time.perf_counter() - begin) / calls)
    return times


def spread(times: list[float]) -> list[float]:
    """Smallest, median and largest in milliseconds."""
    return [round(1e3 * value, 3) for value in (min(times), statistics.median(times), max(times))]


def compare_sweeps(pool: Pool, ranks: int, size: int, repeats: int) -> dict[str, Any]:
    """Our sweep and the bare loop in turn, three times each."""
    ours: list[float] = []
    theirs: list[float] = []
    spec = MeasureCollective("all_reduce", (size,), (ranks,), repeats=repeats)
    for _ in range(3):
        ours += [result.value for result in spec.measure(pool)]
        theirs += [statistics.fmean(each) for each in zip(*pool.run(bare, size, repeats), strict=True)]
    return {
        "our sweep [ms]": spread(ours), "bare [ms]": spread(theirs),
        "ratio of medians": round(statistics.median(ours) / statistics.median(theirs), 3),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ranks", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--backend", default="local", choices=("local", "slurm"))
    asked = parser.parse_args()
    begin = time.perf_counter()
    schedules.collective("all_reduce", "ring", 1024, 2**20)
    generated = time.perf_counter() - begin
    shown: dict[str, Any] = {
        "machine": f"{platform.node()}: {CPU_COUNT} cores, Python {platform.python_version()}",
        "ranks": asked.ranks,
        "ring all-reduce on 1024 ranks generated [s]": round(generated, 3),
    }
    with Pool(asked.ranks, backend=asked.backend) as pool:
        found = pool.run(side_by_side, SIZES, asked.repeats)[0]
        for size, times in found.items():
            gloo = statistics.median(times["gloo"])
            shown[f"all-reduce, {size} bytes"] = {
                name: {
                    "min, median, max [ms]": spread(seconds),
                    "gloo / this": round(gloo / statistics.median(seconds), 3),
                }
                for name, seconds in times.items()
            }
        for size in SIZES:
            shown[f"sweep, {size} bytes"] = compare_sweeps(pool, asked.ranks, size, asked.repeats)
    print(json.dumps(shown, indent=1))


if __name__ == "__main__":
    main()

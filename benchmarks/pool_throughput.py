"""Compare Pool with bare dask.distributed and concurrent.futures: CPU-bound tasks of 50 ms, workers = cores.

    python benchmarks/pool_throughput.py [--tasks 200] [--repeats 3] [--backend local|slurm]

Each task spins until it has used 50 ms of CPU time, so that a busy machine slows all three alike. The three
take turns, and the median of their rates is compared; a ratio of 1 means that the pool costs nothing.
"""

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from dask.system import CPU_COUNT

from hpclab.cluster import Pool

TASK = 0.05  # CPU seconds


def spin(item: int) -> int:
    begin = time.thread_time()
    while time.thread_time() - begin < TASK:
        pass
    return item


def rate(call: Callable[[list[int]], Any], tasks: int) -> float:
    """Tasks per second of one `call` with `tasks` items."""
    begin = time.perf_counter()
    values = list(call(list(range(tasks))))
    assert values == list(range(tasks))
    return tasks / (time.perf_counter() - begin)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--backend", default="local", choices=("local", "slurm"))
    parser.add_argument("--workers", type=int, default=CPU_COUNT)
    asked = parser.parse_args()
    from distributed import Client, LocalCluster

    rates: dict[str, list[float]] = {"pool": [], "dask.distributed": [], "concurrent.futures": []}
    with (
        ProcessPoolExecutor(asked.workers) as executor,
        LocalCluster(
            n_workers=asked.workers, threads_per_worker=1, dashboard_address="127.0.0.1:0"
        ) as cluster,
        Client(cluster) as client,
        Pool(asked.workers, backend=asked.backend) as pool,
    ):
        calls = {
            "pool": lambda items: pool.map(spin, items),
            "dask.distributed": lambda items: client.gather(client.map(spin, items, pure=False)),
            "concurrent.futures": lambda items: executor.map(spin, items),
        }
        for call in calls.values():
            rate(call, 2 * asked.workers)
        for _ in range(asked.repeats):
            for name, call in calls.items():
                rates[name].append(rate(call, asked.tasks))
    median = {name: statistics.median(found) for name, found in rates.items()}
    print(
        json.dumps(
            {
                "machine": f"{platform.node()}: {CPU_COUNT} cores, Python {platform.python_version()}",
                "tasks": asked.tasks, "workers": asked.workers, "backend": asked.backend,
                "tasks per second": {name: [round(each, 2) for each in rates[name]] for name in rates},
                "pool / dask.distributed": round(median["pool"] / median["dask.distributed"], 3),
                "pool / concurrent.futures": round(median["pool"] / median["concurrent.futures"], 3),
            },
            indent=1,
        )
    )  # fmt: skip


if __name__ == "__main__":
    main()

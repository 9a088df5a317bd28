"""Time until four workers have joined an empty pool, and the run of a gang of four ranks, first and warm.

python benchmarks/join_time.py [--nodes 4] [--repeats 3] [--backend slurm|local]
"""

import argparse
import json
import platform
import time
from collections.abc import Callable

from dask.system import CPU_COUNT

from hpclab.cluster import Pool


def seconds(call: Callable[..., object], *arguments: object) -> float:
    begin = time.perf_counter()
    call(*arguments)
    return round(time.perf_counter() - begin, 3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nodes", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--backend", default="slurm", choices=("local", "slurm"))
    asked = parser.parse_args()
    joins, closes, first, warm = [], [], [], []
    for _ in range(asked.repeats):
        pool = Pool(0, backend=asked.backend)
        joins.append(seconds(pool.scale, asked.nodes))
        first.append(seconds(pool.run, int))
        for _ in range(5):
            time.sleep(0.5)  # as between two cells of a notebook
            warm.append(seconds(pool.run, int))
        closes.append(seconds(pool.close))
    print(
        json.dumps(
            {
                "machine": f"{platform.node()}: {CPU_COUNT} cores, Python {platform.python_version()}",
                "backend": asked.backend, "nodes": asked.nodes, "joined [s]": joins,
                "first empty run [s]": first, "warm empty runs [s]": warm, "closed [s]": closes,
            },
            indent=1,
        )
    )  # fmt: skip


if __name__ == "__main__":
    main()

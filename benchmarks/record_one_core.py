"""Record lesson 00's computation on this machine: `python benchmarks/record_one_core.py FILE [REPEATS]`.

Eight products of two 1000 × 1000 matrices on one core, through the same pool as in the lesson. What it writes
is shipped as hpclab/validation/recorded/one_core.jsonl: run it on a quiet machine.
"""

import datetime
import platform
import sys

import numpy

from hpclab import machine
from hpclab.cluster import Pool
from hpclab.experiments.replay import timed_map
from hpclab.quality import doubt
from hpclab.results import Origin, Result, new_run_id, write_jsonl

SIZE, PRODUCTS = 1000, 8


def multiply(seed: int) -> float:
    matrix = numpy.random.default_rng(seed).random((SIZE, SIZE))
    return float((matrix @ matrix).trace())


def main(path: str, repeats: int = 5) -> None:
    here, run = machine.probe(), new_run_id()
    said = f"{here.processor}, {here.platform}, Python {here.python}, NumPy {numpy.__version__}"
    source = f"python benchmarks/record_one_core.py, {datetime.date.today()}, {said}"
    with Pool(nodes=1, backend="local") as pool:
        maps = [timed_map(pool, multiply, range(PRODUCTS))[2] for _ in range(repeats + 1)][1:]
    if why := doubt(maps):
        raise SystemExit(f"Nothing is recorded, for what was measured is {why}.")
    write_jsonl(
        [
            Result(
                "eight products", "makespan", sample.wall, Origin.RECORDED, run=run, repeat=number,
                component="the authors' machine", source=source,
                environment={"processor": here.processor, "machine": platform.machine()},
            )
            for number, sample in enumerate(maps)
        ],
        path,
    )  # fmt: skip


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:3]))

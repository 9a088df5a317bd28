"""Record a strong-scaling curve of this machine: `python benchmarks/record_scaling.py FILE [REPEATS]`.

Lesson 01's two kernels on 1, 2, 4 ... threads up to the cores this process may use. What it writes carries
its provenance and belongs into hpclab/validation/recorded/: run it on a quiet machine.
"""

import datetime
import sys
from dataclasses import replace

import numba
import numpy
from numba import njit, prange

from hpclab import checks, machine
from hpclab.experiments.measure_speedup import ThreadSweep
from hpclab.models.speedups import speedups, typical
from hpclab.quality import doubt
from hpclab.results import Origin, write_jsonl


@njit(parallel=True)
def iterate(values, steps):
    for i in prange(values.size):
        x = values[i]
        for _ in range(steps):
            x = 3.7 * x * (1.0 - x)
        values[i] = x


@njit(parallel=True)
def triad(a, b, c, passes):
    for _ in range(passes):
        for i in prange(a.size):
            a[i] = b[i] + 3.0 * c[i]


KERNELS = (
    (iterate, lambda work: (numpy.linspace(0.1, 0.9, 400_000 * work), 100)),
    (triad, lambda work: (*(numpy.full(8_000_000 * work, float(k)) for k in range(3)), 10)),
)


def main(path: str, repeats: object = 10) -> None:
    repeats = checks.integer("REPEATS", float(str(repeats)), 2, 1000)
    here = machine.probe()
    counts = sorted({*(2**power for power in range(12) if 2**power <= here.cores.whole), here.cores.whole})
    said = f"{here.processor}, {here.cores.whole} cores, {here.platform}, Python {here.python}"
    versions = f"NumPy {numpy.__version__}, Numba {numba.__version__}"
    source = f"python benchmarks/record_scaling.py, {datetime.date.today()}, {said}, {versions}"
    sweeps = [ThreadSweep(kernel, arguments, tuple(counts), repeats) for kernel, arguments in KERNELS]
    measured = [result for sweep in sweeps for result in sweep.measure()]
    if why := doubt(measured):
        raise SystemExit(f"Nothing is recorded, for what was measured is {why}.")
    recorded = [replace(result, origin=Origin.RECORDED, source=source) for result in measured]
    write_jsonl(recorded, path)
    for kernel, _ in KERNELS:
        mine = [result for result in recorded if result.parameters["work"] == kernel.__name__]
        for count, value in typical(speedups(mine, "threads"), "threads", Origin.RECORDED).items():
            print(f"{kernel.__name__:8} {count:4} threads {value:6.2f}×")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        raise SystemExit("Usage: python benchmarks/record_scaling.py FILE [REPEATS]")
    main(*sys.argv[1:])

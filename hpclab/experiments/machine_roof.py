"""The roof of the machine in front of you: what its memory and its units reach, on all cores.

Three loops stream arrays too large for the last cache, and one does nothing but multiply and add.
"""

import itertools
import platform
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numba
import numpy

from hpclab.compiled import njit
from hpclab.experiments.experiment import environment
from hpclab.machine import allowance
from hpclab.models.device import Device
from hpclab.results import Origin, Result, new_run_id
from hpclab.timing import Sample, Stopwatch

NAME = "machine roof"
_FMA = 8  # fused multiply-adds on each item while it is in a register
_ITEMS = 4096  # fit into the first cache
_TIMES = {"fp32": (numpy.float32, 2000), "fp64": (numpy.float64, 1000)}  # about a millisecond
_USUAL_CACHE, _LARGEST = 2**25, 2**28


# Without Python's lock, so that threads run at once.
@njit(nogil=True, fastmath=True)
def read(a):
    """The sum of `a`."""
    total = 0.0
    for i in range(a.size):
        total += a[i]
    return total


@njit(nogil=True)
def copy(a, b):
    """Copy `a` into `b`."""
    for i in range(a.size):
        b[i] = a[i]


@njit(nogil=True)
def triad(a, b, c):
    """Write a + 0.5 b into `c`."""
    for i in range(a.size):
        c[i] = a[i] + 0.5 * b[i]


@njit(nogil=True, fastmath={"contract"})
def multiply_add(x, factor, addend, rounds):
    """Replace each x by x * factor + addend, _FMA times in each of `rounds` rounds, in place."""
    for _ in range(rounds):
        for i in range(x.size):
            value = x[i]
            for _ in range(_FMA):
                value = value * factor + addend
            x[i] = value


STREAMS = {read: 1, copy: 2, triad: 3}  # arrays of float64 that the loop goes over, as STREAM counts


def rounds() -> Iterator[list[Result]]:
    """Run all loops once for each list asked for, without end, and yield a "bandwidth" of read, copy and
    triad (`component`) and a "flop rate" of each precision. The line that a store has to read first is not
    counted, as in STREAM: the bus carries up to half as much again in "copy" and a third in "triad"."""
    cores, found = allowance.cores().whole, partial(Result, NAME, origin=Origin.MEASURED, run=new_run_id())
    arrays = [numpy.ones(max(default_bytes() // 8, _ITEMS)) for _ in range(3)]
    work: list[Any] = []
    for loop, moved in STREAMS.items():
        parts = list(zip(*(numpy.array_split(a, cores) for a in arrays[:moved]), strict=True))
        fields = {"quantity": "bandwidth", "component": loop.__name__, "parameters": {"cores": cores}}
        work.append((loop, parts, 8.0 * moved * arrays[0].size, fields))
    for precision, (kind, times) in _TIMES.items():
        parts = [(numpy.ones(_ITEMS, kind), kind(0.999), kind(0.001), times) for _ in range(cores)]
        fields = {"quantity": "flop rate", "parameters": {"cores": cores, "precision": precision}}
        work.append((multiply_add, parts, 2.0 * _FMA * _ITEMS * times * cores, fields))
    with ThreadPoolExecutor(cores) as pool:
        for repeat in itertools.count(-1):  # the first time round, which also waits for pages, is not counted
            results = []
            for loop, parts, amount, fields in work:
                with Stopwatch() as watch:
                    for done in [pool.submit(loop, *arguments) for arguments in parts]:
                        done.result()
                result = {"value": amount / watch.sample.wall, "environment": versions(watch.sample)}
                results.append(found(repeat=max(0, repeat), **fields, **result))
            if repeat >= 0:
                yield results


def fit(results: Sequence[Result]) -> Device:
    """The device with the best of `results`: a roof is what nothing exceeds, so that the best repeat counts,
    as in STREAM. ValueError where they do not hold it."""
    mine = [result for result in results if result.experiment == NAME]
    if not mine:
        raise ValueError("There is no measurement of the roof among the results: measure it first.")
    cores = mine[0].parameters["cores"]
    best = {kind: max(r.value for r in mine if r.parameters.get("precision") == kind) for kind in _TIMES}
    bandwidth = max(r.value for r in mine if r.quantity == "bandwidth")
    title = f"This machine, {cores} core{'s' * (cores > 1)}"
    return Device(title, Origin.MEASURED, reached_bandwidth=bandwidth, reached=best)


def versions(sample: Sample | None = None) -> dict[str, object]:
    """The `environment` of a time, with the processor and the versions of Python and Numba."""
    processor = platform.processor() or platform.machine()
    return environment(sample, processor=processor, python=platform.python_version(), numba=numba.__version__)


def default_bytes() -> int:
    """Bytes of an array that no cache holds, and that the memory of a small machine does."""
    said = [place.read_text() for place in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size")]
    sizes = [int(found[1]) * 1024 for text in said if (found := re.fullmatch(r"(\d+)K\s*", text))]
    return max(2**20, min(4 * max([_USUAL_CACHE, *sizes]), _LARGEST, allowance.memory().available // 16))

"""The roof of the machine in front of you: what its memory and its units reach, on all cores.

    roof = rounds()
    results = [result for _ in range(7) for result in next(roof)]      # a few seconds
    device = fit(results)                                              # a Device of hpclab.models.device

Three loops stream arrays too large for the last cache, and one does nothing but multiply and add. A kernel is
held against the roof, so the two are measured in turns: `KernelLadder` goes round the loops once beside each
repeat of its steps.
"""

from __future__ import annotations

import functools
import platform
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy

from hpclab import checks
from hpclab.machine import allowance
from hpclab.models.device import Device
from hpclab.results import Origin, Result, new_run_id
from hpclab.timing import Sample, Stopwatch

NAME = "machine roof"
# arrays of float64 that the loop goes over, as STREAM counts them
STREAMS = {"read": 1, "copy": 2, "triad": 3}
_FMA = 8  # fused multiply-adds on each item while it is in a register
_ITEMS = 4096  # fit into the first cache
_ROUNDS = {"fp32": 2000, "fp64": 1000}  # about a millisecond
_DTYPE = {"fp32": numpy.float32, "fp64": numpy.float64}
_USUAL_CACHE, _LARGEST = 2**25, 2**28


def rounds(array_bytes: int = 0) -> Iterator[list[Result]]:
    """Once round all loops each time: a "bandwidth" of read, copy and triad (`component`) and a "flop rate"
    of each precision, as long as somebody asks.

    `array_bytes` is the size of an array; 0 takes four times the last cache, but at most a sixteenth of the
    memory that is free. The line that a store has to read first is not counted, as in STREAM: the bus carries
    up to half as much again in "copy" and a third in "triad".
    """
    size = checks.integer("array_bytes", array_bytes, 0, 2**34, "bytes") or default_bytes()
    loops, run, cores = _loops(), new_run_id(), allowance.cores().whole
    arrays = [numpy.ones(max(size // 8, _ITEMS)) for _ in range(3)]
    repeat = -1  # the first time round, which also waits for pages, is not counted
    with ThreadPoolExecutor(cores) as pool:
        while True:
            found = functools.partial(Result, NAME, origin=Origin.MEASURED, run=run, repeat=max(0, repeat))
            results = []
            for name, moved in STREAMS.items():
                parts = list(zip(*(numpy.array_split(a, cores) for a in arrays[:moved]), strict=True))
                took = _timed(pool, loops[name], parts)
                results.append(
                    found(
                        "bandwidth", 8.0 * moved * arrays[0].size / took.wall, component=name,
                        parameters={"cores": cores}, environment=environment(took),
                    )
                )  # fmt: skip
            for precision, times in _ROUNDS.items():
                kind = _DTYPE[precision]
                items = [numpy.ones(_ITEMS, kind) for _ in range(cores)]
                took = _timed(pool, loops["fma"], [(one, kind(0.999), kind(0.001), times) for one in items])
                results.append(
                    found(
                        "flop rate", 2.0 * _FMA * _ITEMS * times * cores / took.wall,
                        parameters={"cores": cores, "precision": precision}, environment=environment(took),
                    )
                )  # fmt: skip
            if repeat >= 0:
                yield results
            repeat += 1


def fit(results: Sequence[Result]) -> Device:
    """The device with the best of `results`: a roof is what nothing exceeds, so that the best repeat counts,
    as in STREAM. ValueError where they do not hold it."""
    mine = [r for r in checks.instances("results", results, Result) if r.experiment == NAME]
    if not mine:
        raise ValueError("There is no measurement of the roof among the results: measure it first.")
    cores = mine[0].parameters["cores"]
    rates = {
        precision: max(r.value for r in mine if r.parameters.get("precision") == precision)
        for precision in ("fp64", "fp32")
    }
    return Device(
        f"This machine, {cores} core{'s' * (cores > 1)}",
        Origin.MEASURED,
        reached_bandwidth=max(r.value for r in mine if r.quantity == "bandwidth"),
        reached=rates,
        sources=tuple(sorted({r.run for r in mine})),
    )


def environment(sample: Sample | None = None) -> dict[str, object]:
    """What a reader must know of where a time comes from; on this machine's cores with its `sample`."""
    import numba

    return {
        "cores": allowance.cores().whole, "processor": platform.processor() or platform.machine(),
        "python": platform.python_version(), "numba": numba.__version__,
        **(sample.facts() if sample is not None else {}),
    }  # fmt: skip


def default_bytes() -> int:
    """Bytes of an array that no cache holds, and that the memory of a small machine does."""
    sizes = [_USUAL_CACHE]
    for place in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size"):
        text = place.read_text().strip()
        if text.endswith("K") and text[:-1].isdigit():
            sizes.append(int(text[:-1]) * 1024)
    return max(2**20, min(4 * max(sizes), _LARGEST, allowance.memory().available // 16))


def _timed(pool: ThreadPoolExecutor, loop: Callable[..., object], work: Sequence[Sequence[Any]]) -> Sample:
    """Until `loop` has run on each of `work`, each on a thread of its own."""
    with Stopwatch() as watch:
        for done in [pool.submit(loop, *arguments) for arguments in work]:
            done.result()
    return watch.sample


@functools.cache
def _loops() -> dict[str, Callable[..., object]]:
    """Compiled without Python's lock, so that threads run at once; compiling takes two seconds."""
    from numba import njit

    row = "float64[::1]"

    @njit([f"float64({row})"], nogil=True, fastmath=True)
    def read(a):
        total = 0.0
        for i in range(a.size):
            total += a[i]
        return total

    @njit([f"void({row}, {row})"], nogil=True)
    def copy(a, b):
        for i in range(a.size):
            b[i] = a[i]

    @njit([f"void({row}, {row}, {row})"], nogil=True)
    def triad(a, b, c):
        for i in range(a.size):
            c[i] = a[i] + 0.5 * b[i]

    signatures = [f"void({t}[::1], {t}, {t}, int64)" for t in ("float32", "float64")]

    @njit(signatures, nogil=True, fastmath={"contract"})
    def fma(x, factor, addend, rounds):
        for _ in range(rounds):
            for i in range(x.size):
                value = x[i]
                for _ in range(_FMA):
                    value = value * factor + addend
                x[i] = value

    return {"read": read, "copy": copy, "triad": triad, "fma": fma}

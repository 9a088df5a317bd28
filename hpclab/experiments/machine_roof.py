"""The roof of the machine in front of you: what its memory and its units reach, on one core and on all.

    roof = MachineRoof()
    results = roof.measure()                    # a few seconds
    device = roof.fit(results)                  # a Device of hpclab.models.device, all cores
    single = roof.fit(results, cores=1)

Three loops stream arrays too large for the last cache, and one does nothing but multiply and add. What to
notice: one core often takes more than its share of the bandwidth, so that a second one adds little, while
the rate of the units doubles.
"""

from __future__ import annotations

import functools
import platform
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy

from hpclab import checks
from hpclab.machine import allowance
from hpclab.models.device import Device
from hpclab.results import Origin, Result, new_run_id
from hpclab.timing import Stopwatch

NAME = "machine roof"
# arrays of float64 that the loop goes over, as STREAM counts them
STREAMS = {"read": 1, "copy": 2, "triad": 3}
_FMA = 8  # fused multiply-adds on each item while it is in a register
_ITEMS = 4096  # fit into the first cache
_ROUNDS = {"fp32": 2000, "fp64": 1000}  # about a millisecond
_DTYPE = {"fp32": numpy.float32, "fp64": numpy.float64}
_USUAL_CACHE, _LARGEST = 2**25, 2**28


@dataclass(frozen=True)
class MachineRoof:
    """`cores` are the numbers of threads tried (one, and all this process may use, where empty).

    `array_bytes` is the size of each array; 0 takes four times the last cache, but at most a sixteenth of the
    memory that is free.
    """

    cores: tuple[int, ...] = ()
    repeats: int = 7
    array_bytes: int = 0

    def __post_init__(self) -> None:
        most = allowance.cores().whole
        cores = checks.integers("number of cores", self.cores, 1, most) or tuple(sorted({1, most}))
        object.__setattr__(self, "cores", cores)
        checks.integer("repeats", self.repeats, 1, 1000)
        checks.integer("array_bytes", self.array_bytes, 0, 2**34, "bytes")

    def measure(self, progress: Callable[[str, int, int], None] | None = None) -> list[Result]:
        """Each repeat's "bandwidth" (`component` read, copy, triad) and "flop rate" (parameter precision).

        Repeats go round all loops and core counts, so that a neighbour slows each of them and not one. The
        line that a store has to read first is not counted, as in STREAM: the bus carries up to half as much
        again in "copy" and a third in "triad".
        """
        size = (self.array_bytes or default_bytes()) // 8
        loops, run = _loops(), new_run_id()
        arrays = [numpy.ones(max(size, _ITEMS)) for _ in range(3)]
        results: list[Result] = []
        with ThreadPoolExecutor(max(self.cores)) as pool:
            for done in range(self.repeats + 1):
                if done == 1:
                    results.clear()  # the first time round, which also waits for pages, is not counted
                repeat = max(0, done - 1)
                for cores in self.cores:
                    for name, moved in STREAMS.items():
                        parts = list(zip(*(numpy.array_split(a, cores) for a in arrays[:moved]), strict=True))
                        seconds = _timed(pool, loops[name], parts)
                        value = 8.0 * moved * arrays[0].size / seconds
                        results.append(self._result(run, repeat, cores, "bandwidth", value, component=name))
                    for precision, rounds in _ROUNDS.items():
                        kind = _DTYPE[precision]
                        items = [numpy.ones(_ITEMS, kind) for _ in range(cores)]
                        work = [(item, kind(0.999), kind(0.001), rounds) for item in items]
                        seconds = _timed(pool, loops["fma"], work)
                        value = 2.0 * _FMA * _ITEMS * rounds * cores / seconds
                        made = self._result(run, repeat, cores, "flop rate", value, precision=precision)
                        results.append(made)
                if progress is not None:
                    progress("memory and units", done + 1, self.repeats + 1)
        return results

    def fit(self, results: Sequence[Result], cores: int | None = None) -> Device:
        """The device with the best of `results` on `cores` cores (the most that were tried): a roof is what
        nothing exceeds, so that the best repeat counts, as in STREAM. ValueError where they do not hold
        it."""
        mine = [r for r in checks.instances("results", results, Result) if r.experiment == NAME]
        tried = sorted({result.parameters["cores"] for result in mine})
        if not tried or (cores is not None and cores not in tried):
            asked = "any" if cores is None else str(cores)
            raise ValueError(f"There is no measurement on {asked} cores, only on {tried}: measure it first.")
        cores = tried[-1] if cores is None else cores
        mine = [result for result in mine if result.parameters["cores"] == cores]
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

    def _result(
        self, run: str, repeat: int, cores: int, quantity: str, value: float, component: str = "", **more: str
    ) -> Result:
        return Result(
            NAME, quantity, value, Origin.MEASURED, run=run, repeat=repeat, component=component,
            parameters={"cores": cores, **more}, environment=environment(),
        )  # fmt: skip


def environment() -> dict[str, object]:
    """What a reader must know of where a time on this machine's cores comes from."""
    import numba

    return {
        "cores": allowance.cores().whole, "processor": platform.processor() or platform.machine(),
        "python": platform.python_version(), "numba": numba.__version__,
    }  # fmt: skip


def default_bytes() -> int:
    """Bytes of an array that no cache holds, and that the memory of a small machine does."""
    sizes = [_USUAL_CACHE]
    for place in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size"):
        text = place.read_text().strip()
        if text.endswith("K") and text[:-1].isdigit():
            sizes.append(int(text[:-1]) * 1024)
    return max(2**20, min(4 * max(sizes), _LARGEST, allowance.memory().available // 16))


def _timed(pool: ThreadPoolExecutor, loop: Callable[..., object], work: Sequence[Sequence[Any]]) -> float:
    """Seconds until `loop` has run on each of `work`, each on a thread of its own."""
    with Stopwatch() as watch:
        for done in [pool.submit(loop, *arguments) for arguments in work]:
            done.result()
    return watch.sample.wall


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

"""The experiment of lesson 07: the same samples in several formats, read by 0, 1, 2 workers, cold and warm.

experiment = ReadSamples(workers=(0, 2, 4))
results = experiment.measure()           # on this machine's disk; measure(store) on an emulated one
costs = experiment.fit(results)          # of an open, a byte, a decode, a worker: from three variants
experiment.predict(None, costs)          # and from those the time of every variant
"""

import contextlib
import functools
import itertools
import os
import statistics
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy
import psutil
from fsspec.implementations.local import LocalFileSystem

from hpclab import checks
from hpclab.corpus import cache_directory
from hpclab.experiments.experiment import Progress, counts, there_and_back
from hpclab.machine import allowance, places
from hpclab.models.loading import Costs, loading_time
from hpclab.results import Origin, Result, new_run_id, select
from hpclab.storage import formats, loaders
from hpclab.timing import Stopwatch

NAME = "read samples"
BLOCKS = {"in order": 0, "at random": 1}


@dataclass(frozen=True)
class ReadSamples:
    """Every format by every number of workers, in every order, cold (from the disk) and warm (from memory).

    `samples` of `length` tokens each, `batch` at a time. "files" and "array" are what `fit` needs.
    """

    formats: tuple[str, ...] = tuple(formats.FORMATS)
    workers: tuple[int, ...] = (0, 1, 2, 4)
    caches: tuple[str, ...] = ("cold", "warm")
    orders: tuple[str, ...] = ("in order",)
    length: int = 512
    samples: int = 4096
    batch: int = 64
    repeats: int = 3

    def __post_init__(self) -> None:
        for name, known in (("formats", formats.FORMATS), ("caches", ("cold", "warm")), ("orders", BLOCKS)):
            for each in checks.instances(name, getattr(self, name), str, "a name"):
                checks.choice(f"Each of {name}", each, known)
        object.__setattr__(self, "workers", counts("workers", self.workers, 0, 64))
        for name, most in (("length", 2**20), ("samples", 2**20), ("batch", 2**16), ("repeats", 100)):
            checks.integer(name, getattr(self, name), 1, most)

    def measure(self, where: Any = None, *, progress: Progress | None = None) -> list[Result]:
        """Write all formats into a temporary folder and read them in turn; on a `StripedStore`, emulated.

        For each repeat a "time" (seconds of a pass with the start of its workers), "samples per second" and
        the "rank-seconds" of the trace. The environment's `cache` says "not known" where files could not be
        evicted; the parameter is "none" on a store, which has no cache.
        """
        emulated = hasattr(where, "condition")
        fs = where.client() if emulated else LocalFileSystem()
        tokens = numpy.random.default_rng(0).integers(0, 2**16, self.samples * self.length, dtype="u2")
        results, runs = list[Result](), {variant: new_run_id() for variant in self._variants(emulated)}
        with _folder(where) as (writer, root):
            for format in self.formats:
                formats.write(format, tokens, writer, root, length=self.length)
            mounts = {part.mountpoint: part.fstype for part in psutil.disk_partitions(all=True)}
            kind = "emulated" if emulated else places.type_of(root, mounts)
            turns = list(there_and_back(range(len(runs)), self.repeats))
            for done, (number, repeat) in enumerate(turns, start=1):
                variant = list(runs)[number]
                format, workers, cache, order = variant
                samples = formats.open_samples(format, fs, root)  # before: the index of a shard is read here
                if cache == "warm":
                    samples.__getitems__(range(len(samples)))
                elif not emulated:
                    cache = "cold" if formats.evict(fs, f"{root}/{format}") else "not known"
                with Stopwatch() as watch:
                    epoch = loaders.read(samples, batch=self.batch, workers=workers, shuffle=BLOCKS[order])
                result = functools.partial(
                    Result, NAME, origin=Origin.EMULATED if emulated else Origin.MEASURED,
                    condition=where.condition if emulated else "", run=runs[variant], repeat=repeat,
                    parameters=self._parameters(variant), environment={
                        "cache": cache, "file system": kind, "cores": allowance.cores().whole,
                        **watch.sample.facts(),
                    },
                )  # fmt: skip
                results.append(result("time", epoch.trace.makespan))
                results.append(result("samples per second", epoch.samples_per_second))
                bars = epoch.trace.bars().items()
                results += [result("rank-seconds", seconds, component=part) for part, seconds in bars]
                if progress is not None:
                    progress("reading", done, len(turns))
        return results

    def fit(self, results: Sequence[Result]) -> Mapping[str, Costs]:
        """The costs for "cold" and "warm", from medians of three variants, all in the spec's first order:

        the array read without workers (bandwidth, decode), the files without (open), and the array with the
        fewest workers (start, handover). ValueError where one of them was not measured.
        """
        return {cache: self._costs(results, cache) for cache in self.caches}

    def predict(self, machine: Any, calibration: Mapping[str, Costs], cores: int = 0) -> list[Result]:
        """The modelled "time" of every variant on `cores` cores (0: those of `machine`, or of this one)."""
        checks.instance("calibration", calibration, Mapping, "what fit() returned")
        cores = cores or (machine.cores if machine else allowance.cores()).whole
        return [
            Result(
                NAME, "time", self._time(calibration[variant[2]], variant, cores), Origin.MODELLED,
                parameters=self._parameters(variant), source="fitted to the array and the files",
            )
            for variant in self._variants(False)
        ]  # fmt: skip

    def _variants(self, emulated: bool) -> list[tuple[str, int, str, str]]:
        caches = ("none",) if emulated else self.caches
        return list(itertools.product(self.formats, self.workers, caches, self.orders))

    def _parameters(self, variant: tuple[str, int, str, str]) -> dict[str, Any]:
        named = zip(("format", "workers", "cache", "order"), variant, strict=True)
        sizes = {"length": self.length, "samples": self.samples, "batch": self.batch}
        return {**dict(named), "processes": variant[1] + 1, **sizes}

    def _costs(self, results: Sequence[Result], cache: str) -> Costs:
        def median(format: str, workers: int, quantity: str, component: str = "") -> float:
            at = self._parameters((format, workers, cache, self.orders[0]))
            found = [one.value for one in select(results, quantity, **at) if one.component == component]
            if not found:
                raise ValueError(
                    f"There is no {quantity} of {format} with {workers} workers, {cache}: measure it."
                )
            return statistics.median(found)

        fetch, alone = median("array", 0, "rank-seconds", "storage"), median("array", 0, "time")
        bandwidth, decode = 2 * self.length * self.samples / fetch, (alone - fetch) / self.samples
        opening = max(0.0, median("files", 0, "rank-seconds", "storage") - fetch) / self.samples
        few = min(filter(None, self.workers), default=0)
        if not few:
            return Costs(opening, bandwidth, decode)
        starts = median("array", few, "rank-seconds", "worker start")
        start = starts / (few * (few + 1) / 2)  # one is started after the other, and each waits for its own
        at_once = median("array", few, "time") - few * start
        cores = results[0].environment["cores"]
        handing = min(at_once * min(few, cores) - alone, at_once, (at_once * cores - alone) / 2)
        return Costs(opening, bandwidth, decode, start, max(0.0, handing) / self._batches)

    def _time(self, costs: Costs, variant: tuple[str, int, str, str], cores: int) -> float:
        format, workers, _, order = variant
        opens = self.samples if format == "files" else max(1, workers)
        size = 2 * self.length
        if format == "hdf5" and order == "at random":
            size *= formats.CHUNK  # a sample comes with its whole chunk
        return loading_time(
            costs, samples=self.samples, batches=self._batches, opens=opens, size=size * self.samples,
            workers=workers, cores=cores,
        )  # fmt: skip

    @property
    def _batches(self) -> int:
        return -(-self.samples // self.batch)


@contextlib.contextmanager
def _folder(where: Any) -> Iterator[tuple[Any, str]]:
    """What writes without waiting, and a folder that is removed at the end: private, on a disk if it can."""
    if hasattr(where, "condition"):
        writer = where.client(limited=False)
        try:
            yield writer, NAME
        finally:
            with contextlib.suppress(FileNotFoundError):
                writer.rm(NAME, recursive=True)
    else:
        home = cache_directory()
        with contextlib.suppress(OSError):
            home.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(
            prefix="samples-", dir=home if os.access(home, os.W_OK) else None
        ) as name:
            yield LocalFileSystem(), name

"""The experiment of lesson 07: the same samples in several formats, by 0, 1, 2 workers, cold and warm."""

import contextlib
import itertools
import os
import shutil
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy
import psutil
from fsspec.implementations.local import LocalFileSystem

from hpclab import checks
from hpclab.corpus import cache_directory
from hpclab.experiments.experiment import Experiment, Points, Progress, counts, environment
from hpclab.machine import allowance, places
from hpclab.models.loading import Costs, loading_time
from hpclab.results import Origin, Result, Results, new_run_id, select
from hpclab.storage import formats, loaders, scratch
from hpclab.storage.formats import FORMATS
from hpclab.timing import Stopwatch

CACHES = ("cold", "warm")


@dataclass(frozen=True)
class ReadSamples(Experiment):
    """Every format by every number of workers, cold (from the disk) and warm (from memory): `samples` of
    `length` tokens each, `batch` at a time, in each of `orders`, "in order" and "at random"."""

    NAME = "read samples"
    workers: tuple[int, ...] = checks.field(counts, (0, 1, 2, 4), low=0, high=64)
    orders: tuple[str, ...] = checks.field(checks.choices, ("in order",), allowed=("in order", "at random"))
    length: int = checks.field(checks.integer, 512, low=1, high=2**20)
    samples: int = checks.field(checks.integer, 4096, low=1, high=2**20)
    batch: int = checks.field(checks.integer, 64, low=1, high=2**16)
    repeats: int = checks.field(checks.integer, 3, low=1, high=100)

    def points(self, where: Any, report: Progress) -> Points:
        """Yield for each repeat of all formats, written into a temporary folder and read in turn, a "time"
        (seconds of a pass with the start of its workers) and the "rank-seconds" of its trace. The
        environment's `cache` says "not known" where files could not be evicted."""
        fs = LocalFileSystem()
        tokens = numpy.random.default_rng(0).integers(0, 2**16, self.samples * self.length, dtype="u2")
        mounts = {part.mountpoint: part.fstype for part in psutil.disk_partitions(all=True)}
        variants = [(point, new_run_id()) for point in self._variants()]
        turns = list(self.turns(range(len(variants))))
        home = cache_directory()
        with contextlib.suppress(OSError):
            home.mkdir(mode=0o700, parents=True, exist_ok=True)
        disk = home if os.access(home, os.W_OK) else None  # or where temporary files go, often in memory
        folder = str(scratch.folder("samples", disk))
        try:
            kind = places.type_of(folder, mounts)
            for format in FORMATS:
                formats.write(format, tokens, fs, folder, length=self.length)
            for done, (number, repeat) in enumerate(turns, start=1):
                point, run = variants[number]
                samples = formats.open_samples(point["format"], fs, folder)  # reads the index of shards
                cache, random = point["cache"], point["order"] == "at random"
                if cache == "warm":
                    samples.__getitems__(range(len(samples)))
                elif kind == "tmpfs" or not formats.evict(fs, f"{folder}/{point['format']}"):
                    cache = "not known"
                with Stopwatch() as watch:
                    epoch = loaders.read(samples, batch=self.batch, workers=point["workers"], shuffle=random)
                where = environment(watch.sample, cache=cache) | {"file system": kind}
                values: dict[Any, float] = {"time": epoch.trace.makespan}
                values |= {("rank-seconds", part): seconds for part, seconds in epoch.trace.bars().items()}
                yield self.make_results(values, point, run=run, repeat=repeat, environment=where)
                report("reading", done, len(turns))
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def fit(self, results: Sequence[Result]) -> Mapping[str, Costs]:
        """The costs for "cold" and "warm", from medians of three variants, all in the spec's first order: the
        array read without workers (bandwidth, decode), the files without (open), and the array with the
        fewest workers (start, handover). ValueError where one of them was not measured."""
        return {cache: self._costs(results, cache) for cache in CACHES}

    def predict(self, machine: Any, calibration: Mapping[str, Costs]) -> Results:
        """The modelled "time" of every variant on the cores of `machine` (None: of this one)."""
        checks.instance("calibration", calibration, Mapping, "what fit() returned")
        cores, found = (machine.cores if machine else allowance.cores()).whole, Results()
        for point in self._variants():
            opens = self.samples if point["format"] == "files" else max(1, point["workers"])
            size = 2 * self.length * self.samples
            if (point["format"], point["order"]) == ("hdf5", "at random"):
                size *= formats.CHUNK  # a sample comes with its whole chunk
            seconds = loading_time(
                calibration[point["cache"]], samples=self.samples, batches=-(-self.samples // self.batch),
                opens=opens, size=size, workers=point["workers"], cores=cores,
            )  # fmt: skip
            of = {"origin": Origin.MODELLED, "source": "fitted to the array and the files"}
            found += self.make_results({"time": seconds}, point, **of)
        return found

    def settings(self) -> dict[str, Any]:
        return {"length": self.length, "samples": self.samples, "batch": self.batch}

    def _variants(self) -> list[dict[str, Any]]:
        """The parameters of the Results of each variant, beside the settings."""
        return [
            {"format": format, "workers": workers, "cache": cache, "order": order, "processes": workers + 1}
            for format, workers, cache, order in itertools.product(FORMATS, self.workers, CACHES, self.orders)
        ]

    def _costs(self, results: Sequence[Result], cache: str) -> Costs:
        mine = select(self.mine(results), cache=cache, order=self.orders[0])

        def median(format: str, workers: int, quantity: str, component: str = "") -> float:
            same = select(mine, quantity, format=format, workers=workers)
            found = [one.value for one in same if one.component == component]
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
        return Costs(opening, bandwidth, decode, start, max(0.0, handing) / -(-self.samples // self.batch))

"""Clients that read from an emulated striped store at once, measured and predicted.

store = Store((Server(50e6),) * 4, metadata=1000, link=100e6)
spec = StripedReads(store, Reading(clients=4, files=8, size=2**20))
results = spec.measure()                    # starts the store, fills it, and reads: emulated
spec.predict(None, spec.fit(results))       # the model of the same store; nothing is fitted
"""

import functools
import multiprocessing
import os
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

from hpclab import checks
from hpclab.cluster.host import processes
from hpclab.experiments.experiment import Experiment, Points, Progress, environment
from hpclab.models.storage import Reading, Store, predict
from hpclab.results import Origin, Result, Results, new_run_id, select
from hpclab.storage.file_system import StripedFileSystem
from hpclab.storage.striped import MOST_MEMORY, StripedStore, condition
from hpclab.timing import Sample, Stopwatch, total

NAME = "striped reads"


@dataclass(frozen=True)
class StripedReads(Experiment):
    """`reading` from `store`, both as the model has them, `repeats` times; a client has one stream. All files
    lie in the servers' memory: together they are at most half of MOST_MEMORY."""

    store: Store
    reading: Reading
    repeats: int = 3

    def __post_init__(self) -> None:
        checks.instance("store", self.store, Store)
        checks.instance("reading", self.reading, Reading)
        checks.integer("repeats", self.repeats, 1, 100)
        checks.integer("clients, processes of this machine,", self.reading.clients, 1, 32)
        checks.integer("files of all clients", self.reading.clients * self.reading.files, 1, 10_000)
        checks.integer("size", self.reading.size, 1, MOST_MEMORY, "bytes")
        checks.number("bytes of all files", self.reading.bytes, 1, MOST_MEMORY / 2)
        checks.integer("stripes", self.reading.stripes, 1, len(self.store.servers))
        checks.integer("streams", self.reading.streams, 1, 1)

    def points(self, where: Any, report: Progress) -> Points:
        """For each repeat the "time" in seconds until the last client is done, and the "bandwidth" in bytes/s
        of all clients together, both emulated. `where` is not looked at: the clients are processes here.

        In the environment, "late" is the share of the time that a client could not keep up with what it
        emulates.
        """
        store, reading = self.store, self.reading
        names = [f"file {number}" for number in range(reading.clients * reading.files)]
        turns = [names[first : first + reading.files] for first in range(0, len(names), reading.files)]
        room = MOST_MEMORY // len(store.servers)
        fork, parent = multiprocessing.get_context("fork"), (os.getpid(),)
        with (  # an interrupt ends the servers first, and with them what clients wait for
            ProcessPoolExecutor(reading.clients, fork, processes.die_with_parent, parent) as clients_pool,
            StripedStore(store.servers, store.metadata, store.latency, room) as emulated,
        ):
            files = dict.fromkeys(names, bytes(int(reading.size)))
            emulated.fill(files, reading.stripes, reading.stripe_size)
            clients = [emulated.client(store.link) for _ in turns]
            clients_pool.submit(bool).result()  # all of them are there now
            for repeat in range(self.repeats):
                begin = time.monotonic() + 0.1 + 0.02 * len(clients)
                found = clients_pool.map(functools.partial(_read, begin), clients, turns)
                ended, samples, late = zip(*found, strict=True)
                seconds = max(ended) - begin
                facts = environment(total(samples), late=max(late) / seconds)
                of = {"condition": condition(store), "environment": facts}
                yield self._results(seconds, Origin.EMULATED, repeat, **of)
                report("reading", repeat + 1, self.repeats)

    def fit(self, results: Sequence[Result]) -> Store:
        """The store itself: its rates are stated, so nothing is fitted."""
        select(results)
        return self.store

    def predict(self, machine: Any, calibration: Store) -> Results:
        """The same quantities from the model of the store `calibration`; `machine` is not looked at."""
        forecast = predict(calibration, self.reading)
        return self._results(forecast.seconds, Origin.MODELLED, source=f"bound: {forecast.bound}")

    def settings(self) -> dict[str, Any]:
        reading = self.reading
        return {
            "store": str(self.store), "clients": reading.clients, "files": reading.files,
            "bytes": reading.size, "stripes": reading.stripes, "stripe_size": reading.stripe_size,
        }  # fmt: skip

    def _results(self, seconds: float, origin: Origin, repeat: int = 0, **more: Any) -> Results:
        run, values = new_run_id(), {"time": seconds, "bandwidth": self.reading.bytes / seconds}
        more["parameters"] = self.settings()
        return Results(Result(NAME, name, values[name], origin, run, repeat, **more) for name in values)


def _read(begin: float, client: StripedFileSystem, names: list[str]) -> tuple[float, Sample, float]:
    """On a client: read these files from the moment `begin` on; when it ended, and what that took."""
    client.statistics()  # opens the connections
    time.sleep(max(0.0, begin - time.monotonic()))
    with Stopwatch() as watch:
        for name in names:
            client.cat_file(name)
    return time.monotonic(), watch.sample, client.late

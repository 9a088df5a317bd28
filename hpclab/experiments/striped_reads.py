"""The experiment of lesson 07: clients that read from an emulated striped store at once."""

import functools
import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

from hpclab import checks
from hpclab.cluster.host import processes
from hpclab.experiments.experiment import Experiment, Points, Progress, environment
from hpclab.models.storage import Reading, Store
from hpclab.storage.file_system import StripedFileSystem
from hpclab.storage.striped import MOST_MEMORY, StripedStore, condition
from hpclab.timing import Sample, Stopwatch, total


@dataclass(frozen=True)
class StripedReads(Experiment):
    """Read the model's `reading` from its `store`, emulated, `repeats` times; a client has one stream. All
    files lie in the servers' memory: together they are at most half of MOST_MEMORY."""

    NAME = "striped reads"
    store: Store = checks.field(checks.instance, of=Store)
    reading: Reading = checks.field(checks.instance, of=Reading)
    repeats: int = checks.field(checks.integer, 3, low=1, high=100)

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.integer("clients, processes of this machine,", self.reading.clients, 1, 32)
        checks.integer("files of all clients", self.reading.clients * self.reading.files, 1, 10_000)
        checks.integer("size", self.reading.size, 1, MOST_MEMORY, "bytes")
        checks.number("bytes of all files", self.reading.bytes, 1, MOST_MEMORY / 2)
        checks.integer("stripes", self.reading.stripes, 1, len(self.store.servers))
        checks.integer("streams", self.reading.streams, 1, 1)

    def points(self, where: Any, report: Progress) -> Points:
        """Yield for each repeat the "time" in seconds until the last client is done, and the "bandwidth" in
        bytes/s of all clients together, both emulated by processes here. In the environment, "late" is the
        share of the time that a client could not keep up with what it emulates."""
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
                values = {"time": seconds, "bandwidth": reading.bytes / seconds}
                of = {"repeat": repeat, "condition": condition(store), "environment": facts}
                yield self.make_results(values, {}, **of)
                report("reading", repeat + 1, self.repeats)

    def settings(self) -> dict[str, Any]:
        reading = self.reading
        return {
            "store": str(self.store), "clients": reading.clients, "files": reading.files,
            "bytes": reading.size, "stripes": reading.stripes, "stripe_size": reading.stripe_size,
        }  # fmt: skip


def _read(begin: float, client: StripedFileSystem, names: list[str]) -> tuple[float, Sample, float]:
    """On a client: read the files `names` from `begin` (monotonic) on. Return when it ended, what that took,
    and the seconds that `client` was late."""
    client.statistics()  # opens the connections
    time.sleep(max(0.0, begin - time.monotonic()))
    with Stopwatch() as watch:
        for name in names:
            client.cat_file(name)
    return time.monotonic(), watch.sample, client.late

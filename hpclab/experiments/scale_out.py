"""The experiment of lesson 05: tokenise the corpus on 1, 2, 4 ... nodes, and see what each node is worth.

experiment = ScaleOut(nodes=(1, 2, 4))
results = experiment.measure(pool)              # really runs; checks the tokens against a serial run
calibration = experiment.fit(results)           # Amdahl and USL, where the points identify them
more = experiment.predict(None, calibration)    # what the fitted laws say about nodes nobody has
"""

import contextlib
import functools
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from hpclab import checks, corpus
from hpclab.cluster.maps import tasks
from hpclab.cluster.pool import Pool
from hpclab.corpus.files import SMALLEST_LIMIT
from hpclab.experiments import laws, replay
from hpclab.experiments.experiment import Experiment, Points, Progress, counts, environment, near, on_store
from hpclab.machine import Machine
from hpclab.models import storage
from hpclab.models.scaling import USL, Amdahl, Fit, NoCurve
from hpclab.models.storage import Reading, Store
from hpclab.results import Origin, Result, Results, new_run_id, select
from hpclab.timing import Sample, Stopwatch
from hpclab.trace import Event, Trace

NAME = "scale out"


class WrongTokens(RuntimeError):
    """A run on the pool gave other tokens than the serial run."""


@dataclass(frozen=True)
class Calibration:
    """The laws fitted to the makespans, or why there is no curve; a Fit's `conditions` say if emulated."""

    amdahl: Fit | NoCurve
    usl: Fit | NoCurve


@dataclass(frozen=True)
class Serial:
    """One process, no pool: the answer every run is held against; `cpu` seconds of each file, by its name."""

    fingerprint: str
    tokens: int
    cpu: Mapping[str, float] = field(repr=False)


@dataclass(frozen=True)
class ScaleOut(Experiment):
    """`nodes` are the points of a sweep, each `repeats` times. With a `store` the text lies on that emulated
    store, each chunk in stripes over all of its servers; else where the environment's files are."""

    corpus_bytes: int = 8 * 2**20
    chunk_bytes: int = 256 * 2**10
    nodes: tuple[int, ...] = (1, 2, 4)
    repeats: int = 1
    store: Store | None = None
    on_pool: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.store is not None:
            checks.instance("store", self.store, Store, "a Store, such as Store((Server(4e6),))")
        checks.integer("corpus_bytes", self.corpus_bytes, SMALLEST_LIMIT, 2**36, "bytes")
        checks.integer("chunk_bytes", self.chunk_bytes, 4096, 2**30, "bytes")
        checks.integer("repeats", self.repeats, 1, 100)
        object.__setattr__(self, "nodes", counts("nodes", self.nodes))

    def prepare(self) -> tuple[corpus.Corpus, corpus.Tokeniser, list[corpus.Chunk]]:
        """The corpus, the tokeniser trained on it, and the chunks: one task each. Made once per size."""
        text, tokeniser = _trained(self.corpus_bytes)
        return text, tokeniser, corpus.chunks(text, self.chunk_bytes)

    def serial(self) -> Serial:
        """Tokenise in this process, one chunk after the other. Made once per corpus size."""
        return _serial(self.corpus_bytes)

    def points(self, where: Pool, report: Progress) -> Points:
        """For each repeat on each number of nodes, with one run id: a "makespan" (seconds from the first
        chunk sent to the last shard received, measured), one emulated with a core for each node where nodes
        share this machine's, "elapsed" (the same and, in the first repeat, the wait for new nodes before it),
        "cpu" (seconds of all tasks) and "rank-seconds" for each component, which sum to nodes × elapsed.

        Through a `store` all are emulated, and where nodes share cores there is the second makespan only.
        Repeats go up through the numbers of nodes and down again. WrongTokens if the tokens are not the
        serial run's.
        """
        report("reading the corpus", 0, 1)
        expected, (_, tokeniser, chunks) = self.serial(), self.prepare()
        report("reading the corpus", 1, 1)
        now = 0
        with self._text(chunks) as (files, condition):
            task = functools.partial(corpus.tokenise, tokeniser, files=files)
            for count, repeat in self.turns(self.nodes):
                if count != now:
                    waited, now = _bring_up(where, count, tokeniser, report), count
                    if condition:
                        near(where, needed=True)
                tell = functools.partial(report, "tokenising")
                shards, run, sample = replay.timed_map(where, task, chunks, tell)
                given = corpus.fingerprint(corpus.join(shards))
                if given != expected.fingerprint:
                    raise WrongTokens(
                        f"{count} nodes gave tokens with the hash {given[:12]}, one process "
                        f"{expected.fingerprint[:12]}: the nodes have another version of tokenizers. "
                        "Start them from the same environment as the notebook."
                    )
                whole = tasks.joined(waited, run) if repeat == 0 else run
                yield self._results(where, count, repeat, run, whole, sample, condition)

    def fit(self, results: Sequence[Result]) -> Calibration:
        """Amdahl's law and the USL through makespans of this chunk size and corpus; see `laws.fit_law`."""
        mine = select(self.mine(results), "makespan")
        mine = [result for result in mine if result.origin in (Origin.MEASURED, Origin.EMULATED)]
        return Calibration(laws.fit_law(Amdahl, mine, "nodes"), laws.fit_law(USL, mine, "nodes"))

    def predict(
        self, machine: Machine | None, calibration: Calibration, nodes: Sequence[int] = laws.AT
    ) -> Results:
        """The speedup that each fitted law gives at `nodes` nodes; see `laws.predict`."""
        checks.instance("calibration", calibration, Calibration, "what fit() returned")
        return laws.predict(machine, vars(calibration), "nodes", NAME, nodes, **self.settings())

    def knee(self) -> float:
        """Modelled: how many nodes the store's servers can feed; infinity without one.

        A node alone reads a chunk, then computes on it: it asks for the bytes over the seconds of both. The
        knee is where nodes × demand is what the servers give; a faster program has it earlier.
        """
        if self.store is None:
            return math.inf
        chunks, servers = self.prepare()[2], self.store.servers
        size, compute = sum(chunk.size for chunk in chunks), sum(self.serial().cpu.values())
        stripe = _stripe(chunks, len(servers))
        reading = Reading(1, len(chunks), size / len(chunks), len(servers), stripe)
        demand = size / (storage.predict(self.store, reading).seconds + compute)
        return sum(server.bandwidth for server in servers) / demand

    def settings(self) -> dict[str, Any]:
        sizes = {"chunk_bytes": self.chunk_bytes, "corpus_bytes": self.corpus_bytes}
        return {**sizes, "store": str(self.store or "")}

    @contextlib.contextmanager
    def _text(self, chunks: Sequence[corpus.Chunk]) -> Iterator[tuple[Any, str]]:
        """A file system with the chunks by name, and its condition; (None, "") where the text is read from
        the environment's files."""
        if self.store is None:
            yield None, ""
            return
        contents = {chunk.name: chunk.content() for chunk in chunks}
        with on_store(self.store, contents, _stripe(chunks, len(self.store.servers))) as (files, condition):
            yield files, f"the text lies on {condition}"

    def _results(
        self, pool: Pool, nodes: int, repeat: int, run: Trace, whole: Trace, sample: Sample, condition: str
    ) -> list[Result]:
        """What one repeat showed: its map `run`, and the `whole` of it with the wait for its nodes."""
        serial, jobs = self.serial(), [worker.job_id for worker in pool.workers() if worker.job_id]
        where = environment(sample, pool, tokens=serial.fingerprint, jobs=jobs)
        result = functools.partial(
            Result, NAME, origin=Origin.EMULATED if condition else Origin.MEASURED, condition=condition,
            run=new_run_id(), repeat=repeat, parameters={"nodes": nodes, **self.settings()},
            environment=where,
        )  # fmt: skip
        found = [
            result("elapsed", whole.makespan), result("cpu", sample.cpu),
            *(result("rank-seconds", seconds, component=part) for part, seconds in whole.bars().items()),
        ]  # fmt: skip
        if not (condition and where["shared"]):  # there it would be a second emulated one, of shared cores
            found.insert(0, result("makespan", run.makespan))
        if where["shared"]:
            alone = [sum(serial.cpu[file.name] for file in chunk.files) for chunk in self.prepare()[2]]
            seconds = replay.own_cores(pool.tasks, run, alone, self.store)
            both = "; ".join(filter(None, (replay.CONDITION, condition)))
            found.append(result("makespan", seconds, origin=Origin.EMULATED, condition=both))
        return found


def _stripe(chunks: Sequence[corpus.Chunk], servers: int) -> int:
    """Bytes of a stripe with which a chunk of the mean size has one on each server."""
    return max(2**12, math.ceil(sum(chunk.size for chunk in chunks) / len(chunks) / servers))


@functools.lru_cache(maxsize=2)
def _trained(corpus_bytes: int) -> tuple[corpus.Corpus, corpus.Tokeniser]:
    text = corpus.collect(corpus_bytes)
    return text, corpus.train(text)


@functools.lru_cache(maxsize=2)
def _serial(corpus_bytes: int) -> Serial:
    """Neither chunks nor nodes change it, so it is made once, one file after the other."""
    text, tokeniser = _trained(corpus_bytes)
    shards, cpu = [], {}
    for index, file in enumerate(text.files):
        with Stopwatch() as watch:
            shards.append(corpus.tokenise(tokeniser, corpus.Chunk(index, (file,))))
        cpu[file.name] = watch.sample.cpu
    tokens = corpus.join(shards)
    return Serial(corpus.fingerprint(tokens), len(tokens), cpu)


def _bring_up(pool: Pool, nodes: int, tokeniser: corpus.Tokeniser, report: Progress) -> Trace:
    """Have `nodes` nodes with the tokeniser loaded, which in the first chunk would look like a serial part of
    the work; the trace of the wait, which ends when all are ready."""
    pool.scale(nodes, progress=functools.partial(report, "starting nodes"))
    assert pool.trace is not None  # there is one after a scale
    begin, end, events = pool.trace.start, pool.trace.end, list(pool.trace.events)
    first = time.monotonic()
    for _ in range(3):
        pool.map(functools.partial(_load, tokeniser), range(2 * nodes))
        if len({task.rank for task in pool.tasks}) == nodes:
            break
    loaded = end + time.monotonic() - first
    events += [Event(rank, "start", end, loaded - end, label="load") for rank in range(nodes)]
    return Trace(tuple(events), nodes, begin, loaded)


def _load(tokeniser: corpus.Tokeniser, item: int) -> None:
    tokeniser.encode("import numpy")
    time.sleep(0.05)  # long enough that the next item goes to another node

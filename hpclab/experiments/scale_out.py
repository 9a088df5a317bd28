"""The experiment of lesson 05: tokenise the corpus on 1, 2, 4 ... nodes, and see what each node is worth."""

import contextlib
import functools
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy

from hpclab import checks, corpus
from hpclab.cluster.maps import tasks
from hpclab.cluster.pool import Pool
from hpclab.corpus.files import SMALLEST_LIMIT
from hpclab.experiments import laws, replay
from hpclab.experiments.experiment import Experiment, Points, Progress, counts, environment, is_here, on_store
from hpclab.machine import Machine
from hpclab.models import storage
from hpclab.models.scaling import USL, Amdahl, Fit, NoCurve
from hpclab.models.storage import Reading, Store
from hpclab.results import Origin, Result, Results, new_run_id, select
from hpclab.timing import Sample, Stopwatch
from hpclab.trace import Event, Trace


class WrongTokens(RuntimeError):
    """Tokenising on the pool gave other tokens than the serial run."""


@dataclass(frozen=True)
class Calibration:
    """The laws fitted to the makespans, or why there is no curve; a Fit's `conditions` say if emulated."""

    amdahl: Fit | NoCurve
    usl: Fit | NoCurve


@dataclass(frozen=True)
class Serial:
    """A run in one process, with whose tokens each run on a pool is compared; `cpu` seconds by file name."""

    fingerprint: str
    tokens: int
    cpu: Mapping[str, float] = field(repr=False)


@dataclass(frozen=True)
class ScaleOut(Experiment):
    """A corpus tokenised on a pool, timed at each number of `nodes`, `repeats` times. With a `store` the text
    lies on that emulated store, each chunk in stripes over all of its servers; else where the environment's
    files are."""

    NAME = "scale out"
    corpus_bytes: int = checks.field(checks.integer, 8 * 2**20, low=SMALLEST_LIMIT, high=2**36, unit="bytes")
    chunk_bytes: int = checks.field(checks.integer, 256 * 2**10, low=4096, high=2**30, unit="bytes")
    nodes: tuple[int, ...] = checks.field(counts, (1, 2, 4))
    repeats: int = checks.field(checks.integer, 1, low=1, high=100)
    store: Store | None = checks.field(
        checks.instance, None, of=Store | None, called="a Store, such as Store((Server(4e6),))"
    )
    on_pool: ClassVar[bool] = True

    def prepare(self) -> tuple[corpus.Corpus, corpus.Tokeniser, list[corpus.Chunk]]:
        """The corpus, the tokeniser trained on it, and the chunks: one task each. Made once per size."""
        text, tokeniser = _trained(self.corpus_bytes)
        return text, tokeniser, corpus.chunks(text, self.chunk_bytes)

    def serial(self) -> Serial:
        """Tokenise in this process, one chunk after the other. Made once per corpus size."""
        return _serial(self.corpus_bytes)

    def points(self, where: Pool, report: Progress) -> Points:
        """Yield for each repeat on each number of nodes, with one run id: a "makespan" (seconds from the
        first chunk sent to the last shard received, measured), one emulated with a core for each node where
        nodes share cores, "elapsed" (the same and, in the first repeat, the wait for new nodes before it),
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
                        is_here(where, needed=True)
                tell = functools.partial(report, "tokenising")
                shards, run, sample = replay.timed_map(where, task, chunks, tell)
                given = corpus.fingerprint(numpy.concatenate(shards))
                if given != expected.fingerprint:
                    raise WrongTokens(
                        f"{count} nodes gave tokens with the hash {given[:12]}, one process "
                        f"{expected.fingerprint[:12]}: the nodes have another version of tokenizers. "
                        "Start them from the same environment as the notebook."
                    )
                whole = tasks.concatenate_traces(waited, run) if repeat == 0 else run
                yield self._results(where, count, repeat, run, whole, sample, condition)

    def fit(self, results: Sequence[Result]) -> Calibration:
        """Amdahl's law and the USL through makespans of this chunk size and corpus; see `laws.fit_law`."""
        mine = select(self.mine(results), "makespan")
        mine = [result for result in mine if result.origin in (Origin.MEASURED, Origin.EMULATED)]
        return Calibration(laws.fit_law(Amdahl, mine, "nodes"), laws.fit_law(USL, mine, "nodes"))

    def predict(
        self, machine: Machine | None, calibration: Calibration,
        nodes: Sequence[int] = (1, 2, 4, 8, 16, 32, 64),
    ) -> Results:  # fmt: skip
        """The speedup that each fitted law gives at `nodes` nodes: processes of `machine`, whose cores bound
        it, or with None each with a core of its own."""
        checks.instance("calibration", calibration, Calibration, "what fit() returned")
        cores = checks.instance("machine", machine, Machine).cores.whole if machine is not None else 4096
        asked, results = checks.integers("number of nodes", nodes, 1, 4096), Results()
        for law in (calibration.amdahl, calibration.usl):
            if isinstance(law, Fit):
                said = law.predict([min(count, cores) for count in asked], self.NAME, "nodes")
                results += [
                    replace(one, parameters={"nodes": count, **self.settings()})
                    for count, one in zip(asked, said, strict=True)
                ]
        return results

    def knee(self) -> float:
        """Modelled: how many nodes the store's servers can feed; infinity without one. A node alone reads a
        chunk, then computes on it: its demand is the bytes over the seconds of both."""
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
        """Yield a file system with the chunks by name, and its condition; (None, "") where the text is read
        from the environment's files."""
        if self.store is None:
            yield None, ""
            return
        contents = {chunk.name: chunk.content() for chunk in chunks}
        with on_store(self.store, contents, _stripe(chunks, len(self.store.servers))) as (files, condition):
            yield files, f"the text lies on {condition}"

    def _results(
        self, pool: Pool, nodes: int, repeat: int, run: Trace, whole: Trace, sample: Sample,
        condition: str,
    ) -> list[Result]:  # fmt: skip
        """What one repeat showed: its map `run`, and the `whole` of it with the wait for its nodes."""
        serial, jobs = self.serial(), [worker.job_id for worker in pool.workers() if worker.job_id]
        where = environment(sample, pool, tokens=serial.fingerprint, jobs=jobs)
        at, of = {"nodes": nodes}, {"run": new_run_id(), "repeat": repeat, "environment": where}
        values: dict[Any, float] = {"elapsed": whole.makespan, "cpu": sample.cpu}
        if not (condition and where["shared"]):  # there it would be a second emulated one, of shared cores
            values = {"makespan": run.makespan} | values
        values |= {("rank-seconds", part): seconds for part, seconds in whole.bars().items()}
        found = self.make_results(values, at, condition=condition, **of)
        if where["shared"]:
            alone = [sum(serial.cpu[file.name] for file in chunk.files) for chunk in self.prepare()[2]]
            seconds = replay.own_cores(pool.tasks, run, alone, self.store)
            both = "; ".join(filter(None, (replay.CONDITION, condition)))
            found += self.make_results({"makespan": seconds}, at, condition=both, **of)
        return found


def _stripe(chunks: Sequence[corpus.Chunk], servers: int) -> int:
    """Bytes of a stripe with which a chunk of the mean size has one on each server."""
    return max(2**12, math.ceil(sum(chunk.size for chunk in chunks) / len(chunks) / servers))


@functools.lru_cache(maxsize=2)
def _trained(corpus_bytes: int) -> tuple[corpus.Corpus, corpus.Tokeniser]:
    """The corpus of that size, and a tokeniser trained on it."""
    text = corpus.collect(corpus_bytes)
    return text, corpus.train(text)


@functools.lru_cache(maxsize=2)
def _serial(corpus_bytes: int) -> Serial:
    """Tokenise one file after the other. Neither chunks nor nodes change the result, so it is kept."""
    text, tokeniser = _trained(corpus_bytes)
    shards, cpu = [], {}
    for index, file in enumerate(text.files):
        with Stopwatch() as watch:
            shards.append(corpus.tokenise(tokeniser, corpus.Chunk(index, (file,))))
        cpu[file.name] = watch.sample.cpu
    tokens = numpy.concatenate(shards)
    return Serial(corpus.fingerprint(tokens), len(tokens), cpu)


def _bring_up(pool: Pool, nodes: int, tokeniser: corpus.Tokeniser, report: Progress) -> Trace:
    """Scale `pool` to `nodes` nodes and load the tokeniser on each, which in the first chunk would look like
    a serial part of the work. Return the trace of this wait, which ends when all are ready."""
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

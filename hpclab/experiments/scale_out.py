"""The experiment of lesson 05: tokenise the corpus on 1, 2, 4 ... nodes, and see what each node is worth.

experiment = ScaleOut(nodes=(1, 2, 4))
results = experiment.measure(pool)              # really runs; checks the tokens against a serial run
calibration = experiment.fit(results)           # Amdahl and USL, where the points identify them
more = experiment.predict(None, calibration)    # what the fitted laws say about nodes nobody has
"""

import functools
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from hpclab import checks, corpus
from hpclab.cluster.maps import timeline
from hpclab.cluster.pool import Pool
from hpclab.corpus.files import SMALLEST_LIMIT
from hpclab.experiments import laws, replay, text_store
from hpclab.experiments.experiment import Progress, counts, near, refuse_far, there_and_back
from hpclab.machine import Machine, allowance
from hpclab.models.scaling import USL, Amdahl, Fit, NoCurve
from hpclab.models.storage import Store
from hpclab.results import Origin, Result, new_run_id, select
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
class ScaleOut:
    """`corpus_bytes` and `chunk_bytes` in bytes; `nodes` are the points of a sweep, each `repeats` times.

    With a `store` the text lies on that emulated store, each chunk in stripes over all of its servers, and
    what comes out is emulated; without one it lies where the environment's files are.
    """

    corpus_bytes: int = 8 * 2**20
    chunk_bytes: int = 256 * 2**10
    nodes: tuple[int, ...] = (1, 2, 4)
    repeats: int = 1
    store: Store | None = None

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

    def measure(
        self,
        where: Pool,
        *,
        progress: Progress | None = None,
        found: Callable[[list[Result]], object] = bool,  # nothing
    ) -> list[Result]:
        """Run on the pool `where` at each number of nodes; `found(results)` is called after each repeat.

        Each repeat gives, with one run id: a "makespan" (seconds from the first chunk sent to the last
        shard received, measured), one emulated with a core for each node where nodes share this machine's,
        "elapsed" (the same and, in the first repeat, the wait for new nodes before it), "cpu" (seconds of
        all tasks) and "rank-seconds" for each component, which sum to nodes × elapsed. Through a `store` all
        are emulated, and where nodes share cores there is the second makespan only. Repeats go up through
        the numbers of nodes and down again. WrongTokens if the tokens are not the serial run's.
        `pool.cancel()` ends it with Cancelled.
        """
        report: Progress = progress or (lambda stage, done, total: None)
        report("reading the corpus", 0, 1)
        expected, (_, tokeniser, chunks) = self.serial(), self.prepare()
        report("reading the corpus", 1, 1)
        results, now = list[Result](), 0
        with text_store.filled(self.store, chunks) as (files, condition):
            task = functools.partial(corpus.tokenise, tokeniser, files=files)
            for count, repeat in there_and_back(self.nodes, self.repeats):
                if count != now:
                    waited, now = _bring_up(where, count, tokeniser, report), count
                    if condition:
                        refuse_far(where)
                shards, run, sample = replay.timed_map(
                    where, task, chunks, functools.partial(report, "tokenising")
                )
                given = corpus.fingerprint(corpus.join(shards))
                if given != expected.fingerprint:
                    raise WrongTokens(
                        f"{count} nodes gave tokens with the hash {given[:12]}, one process "
                        f"{expected.fingerprint[:12]}: the nodes have another version of tokenizers. "
                        "Start them from the same environment as the notebook."
                    )
                whole = timeline.joined(waited, run) if repeat == 0 else run
                point = self._results(where, count, repeat, run, whole, sample, condition)
                results += point
                found(point)
        return results

    def fit(self, results: Sequence[Result]) -> Calibration:
        """Amdahl's law and the USL through makespans of this chunk size and corpus.

        Where the measured points up to the cores identify a law they are used; else the emulated ones.
        """
        mine = select(self.mine(results), "makespan")
        mine = [result for result in mine if result.origin in (Origin.MEASURED, Origin.EMULATED)]
        return Calibration(laws.fit_law(Amdahl, mine, "nodes"), laws.fit_law(USL, mine, "nodes"))

    def predict(
        self, machine: Machine | None, calibration: Calibration, nodes: Sequence[int] = laws.AT
    ) -> list[Result]:
        """The speedup that each fitted law gives at `nodes` nodes; see `laws.predict`."""
        checks.instance("calibration", calibration, Calibration, "what fit() returned")
        modelled = laws.predict(machine, vars(calibration), "nodes", NAME, nodes)
        return [replace(one, parameters={**one.parameters, **self._settings()}) for one in modelled]

    def mine(self, results: Sequence[Result]) -> list[Result]:
        """Those of `results` that are of this corpus, chunk size and store."""
        return select(results, None, **self._settings())

    def knee(self) -> float:
        """Modelled: the nodes that the store's servers can feed; infinity without one. See `text_store`."""
        if self.store is None:
            return math.inf
        return text_store.knee(self.store, self.prepare()[2], sum(self.serial().cpu.values()))

    def _settings(self) -> dict[str, object]:
        return {
            "chunk_bytes": self.chunk_bytes,
            "corpus_bytes": self.corpus_bytes,
            "store": str(self.store or ""),
        }

    def _results(
        self, pool: Pool, nodes: int, repeat: int, run: Trace, whole: Trace, sample: Sample, condition: str
    ) -> list[Result]:
        """What one repeat showed: its map `run`, and the `whole` of it with the wait for its nodes."""
        workers, serial, shared = pool.workers(), self.serial(), near(pool)
        result = functools.partial(
            Result, NAME, origin=Origin.EMULATED if condition else Origin.MEASURED, condition=condition,
            run=new_run_id(), repeat=repeat,
            parameters={"nodes": nodes, **self._settings()},
            environment={
                "backend": pool.backend, "label": pool.label, "tokens": serial.fingerprint,
                "jobs": [worker.job_id for worker in workers if worker.job_id],
                "shared": shared, "cores": allowance.cores().whole, **sample.facts(),
            },
        )  # fmt: skip
        found = [
            result("elapsed", whole.makespan), result("cpu", sample.cpu),
            *(result("rank-seconds", seconds, component=part) for part, seconds in whole.bars().items()),
        ]  # fmt: skip
        if not (condition and shared):  # there it would be a second emulated one, and of shared cores
            found.insert(0, result("makespan", run.makespan))
        if shared:
            alone = [sum(serial.cpu[file.name] for file in chunk.files) for chunk in self.prepare()[2]]
            seconds = replay.own_cores(pool.tasks, run, alone, self.store)
            both = "; ".join(filter(None, (replay.CONDITION, condition)))
            found.append(result("makespan", seconds, origin=Origin.EMULATED, condition=both))
        return found


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
    """Have `nodes` nodes with the tokeniser loaded; the trace of the wait, which ends when all are ready.

    A worker's first task imports libraries and builds the tokeniser. That is part of starting a worker, and
    left in the first chunk it would look like a serial part of the work.
    """
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

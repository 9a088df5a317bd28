"""What every experiment is: a small frozen spec that measures, fits and predicts, all in Results."""

import contextlib
import dataclasses
import itertools
import socket
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from hpclab import checks
from hpclab.cluster.pool import Pool
from hpclab.machine import allowance
from hpclab.models.storage import Store
from hpclab.results import Origin, Result, Results, new_run_id, select
from hpclab.storage.striped import StripedStore
from hpclab.timing import Sample

Progress = Callable[[str, int, int], None]
"""``progress(stage, done, total)``: which part of a measurement this is, and how far it has come."""
Points = Generator[list[Result]]


class Experiment:
    """A frozen dataclass of `checks.field`s: what is measured, and how often; a subclass adds `points`.

    Where there is something to learn from, ``fit(results)`` gives a calibration, or says why there is none,
    and ``predict(machine, calibration)`` modelled Results for `machine` (None: as it was measured).
    """

    NAME: ClassVar[str]
    on_pool: ClassVar[bool] = False
    repeats: int

    def __post_init__(self) -> None:
        for one in dataclasses.fields(self):  # type: ignore[arg-type]
            if check := one.metadata.get("check"):
                object.__setattr__(self, one.name, check(one.name, getattr(self, one.name)))

    def measure(
        self, where: Any = None, *, progress: Progress | None = None,
        found: Callable[[list[Result]], object] = bool,
    ) -> Results:  # fmt: skip
        """Measure all `points`, which say what their Results are: on the pool `where` if the experiment needs
        nodes, else on this machine (None). ``found(results)`` is called with those of each point.

        Results are measured, or emulated under a stated condition; each repeat is one. The environment holds
        what `quality.doubt` judges. `pool.cancel()` ends it with Cancelled.
        """
        if self.on_pool and where is None:
            raise ValueError(f"{type(self).__name__} runs on a pool: with Pool(2) as pool: measure(pool).")
        results = Results()
        with contextlib.closing(self.points(where, progress or (lambda stage, done, total: None))) as points:
            for point in points:
                results += point
                found(point)
        return results

    def points(self, where: Any, report: Progress) -> Points:
        """Measure on `where`, and yield the Results of one point of the sweep after the other."""
        raise NotImplementedError

    def turns(self, counts: Sequence[int]) -> Iterator[tuple[int, int]]:
        """Yield (count, repeat): half of the repeats on the way up through `counts`, half on the way down.

        A neighbour who comes or goes meanwhile slows every count alike, and no node is started twice.
        """
        up = (self.repeats + 1) // 2
        yield from itertools.product(sorted(counts), range(up))
        yield from itertools.product(sorted(counts, reverse=True), range(up, self.repeats))

    def settings(self) -> dict[str, Any]:
        """The parameters, by name, that all of its Results have beside those of their point."""
        raise NotImplementedError

    def mine(self, results: Sequence[Result]) -> list[Result]:
        """Those of `results` whose parameters hold these `settings`."""
        return select(results, None, **self.settings())

    def make_results(self, values: Mapping[Any, float], at: Mapping[str, Any], **of: Any) -> Results:
        """Make a Result of each of `values`, by quantity or (quantity, component), with one run id.
        Parameters are `at` and the settings, `of` are other fields. With a condition it is emulated."""
        of = {"run": new_run_id(), "parameters": {**at, **self.settings()}, **of}
        of.setdefault("origin", Origin.EMULATED if of.get("condition") else Origin.MEASURED)
        named = [(key, "") if isinstance(key, str) else key for key in values]
        rows = zip(named, values.values(), strict=True)
        return Results(Result(self.NAME, name, value, component=part, **of) for (name, part), value in rows)


def environment(sample: Sample | None = None, pool: Pool | None = None, **more: object) -> dict[str, Any]:
    """The `environment` field of Results: the cores here, the facts of `sample` and of `pool`, and `more`."""
    of_pool = {} if pool is None else {"backend": pool.backend, "label": pool.label, "shared": is_here(pool)}
    return {"cores": allowance.cores().whole, **of_pool, **more, **(sample.facts() if sample else {})}


def is_here(pool: Pool, needed: bool = False) -> bool:
    """Whether all nodes are processes of this machine; ValueError where that is `needed`, for an emulated
    store, and they are not."""
    here = {worker.host for worker in pool.workers()} == {socket.gethostname()}
    if needed and not here:
        raise ValueError(
            "The emulated store is reached from this machine only, and the nodes are other machines: leave "
            "what is read where it lies (store=None), which on your site is its own file system."
        )
    return here


@contextlib.contextmanager
def on_store(
    store: Store, contents: Mapping[str, bytes], stripe_size: int = 2**20
) -> Iterator[tuple[Any, str]]:
    """Emulate `store`, with `contents` in stripes of `stripe_size` bytes over all of its servers; yield an
    fsspec file system on it, and its condition for Results."""
    with StripedStore(store.servers, store.metadata, store.latency) as servers:
        servers.fill(contents, len(store.servers), stripe_size)
        yield servers.client(store.link), servers.condition


def counts(name: str, given: object, low: int = 1, high: int = 4096) -> tuple[int, ...]:
    """Check the list of whole numbers `given` for the field `name`; return each once, in order."""
    if not isinstance(given, tuple | list | range) or not given:
        raise ValueError(f"{name} must be a list of whole numbers, such as (1, 2, 4), not {given!r:.60}.")
    return tuple(sorted({checks.integer(name, value, low, high) for value in given}))

"""What every experiment is: a small frozen spec that measures, fits and predicts, all in Results."""

import itertools
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

from hpclab import checks
from hpclab.cluster.pool import Pool
from hpclab.results import Result

Progress = Callable[[str, int, int], None]
"""``progress(stage, done, total)``: which part of a measurement this is, and how far it has come."""


@runtime_checkable
class Experiment(Protocol):
    """A frozen dataclass whose fields say what is measured and how often."""

    def measure(self, where: Any = None, *, progress: Progress | None = None) -> list[Result]:
        """Run it: on a pool where it needs nodes, else on this machine (None).

        Results are measured, or emulated under a stated condition; each repeat is one. The environment holds
        what `quality.doubt` judges: cores, and the seconds that the tasks had one and waited for one.
        """

    def fit(self, results: Sequence[Result]) -> Any:
        """A calibration from what `measure` gave; where there is none, it says why."""

    def predict(self, machine: Any, calibration: Any) -> list[Result]:
        """Modelled Results for `machine` (None: as it was measured) from what `fit` returned."""


def near(pool: Pool) -> bool:
    """Whether all nodes are processes of this machine."""
    return {worker.host for worker in pool.workers()} == {socket.gethostname()}


def refuse_far(pool: Pool) -> None:
    """ValueError where nodes are other machines, from which an emulated store is not reached."""
    if not near(pool):
        raise ValueError(
            "The emulated store is reached from this machine only, and the nodes are other machines: leave "
            "what is read where it lies (store=None), which on your site is its own file system."
        )


def there_and_back(counts: Sequence[int], repeats: int) -> Iterator[tuple[int, int]]:
    """(count, repeat): half of the repeats on the way up through `counts`, the others on the way down.

    A neighbour who comes or goes meanwhile slows every count alike, and no node is started twice.
    """
    up = (repeats + 1) // 2
    yield from itertools.product(sorted(counts), range(up))
    yield from itertools.product(sorted(counts, reverse=True), range(up, repeats))


def counts(name: str, given: object, low: int = 1, high: int = 4096) -> tuple[int, ...]:
    """What a spec was `given` as its list of whole numbers: each once, in order."""
    if not isinstance(given, tuple | list | range) or not given:
        raise ValueError(f"{name} must be a list of whole numbers, such as (1, 2, 4), not {given!r:.60}.")
    return tuple(sorted({checks.integer(name, value, low, high) for value in given}))

"""What is wrong, said once per line of source and kind, with the first threads it happened to."""

from collections.abc import Sequence

from hpclab.kernels.tracer.lanes import Dim3, Threads
from hpclab.models.gpu_memory import COSTS, ERRORS, Finding

_PLURAL = {"is": "are", "never reaches": "never reach"}  # others lose their s
_SHOWN = 32  # threads that a Finding carries; more than a warp helps nobody


class Findings:
    """Collects Findings; the first of each kind on each line stays."""

    def __init__(self, threads: Threads, grid: Dim3) -> None:
        self.threads = threads
        self.grid = grid
        self._found: dict[tuple[str, int], Finding] = {}

    def has(self, kind: str, line: int) -> bool:
        return (kind, line) in self._found

    def add(
        self, kind: str, line: int, message: str, block: Dim3 = (0, 0, 0), who: Sequence[int] = ()
    ) -> None:
        """`who` are numbers of threads in `block`."""
        if not self.has(kind, line):
            threads = tuple(self.threads.index(int(number)) for number in who[:_SHOWN])
            self._found[kind, line] = Finding(kind, message, line, block, threads)

    def sorted(self) -> tuple[Finding, ...]:
        """Errors before costs, then by line."""
        order = ERRORS + COSTS
        return tuple(sorted(self._found.values(), key=lambda f: (not f.error, f.line, order.index(f.kind))))

    def thread(self, number: int, block: Dim3) -> str:
        """``thread 3``, ``thread (3, 1)``, and of which block where there are several."""
        text = f"thread {_short(self.threads.index(int(number)), self.threads.shape)}"
        return text if self.grid == (1, 1, 1) else f"{text} of block {_short(block, self.grid)}"

    def about(self, kind: str, line: int, block: Dim3, who: Sequence[int], verb: str, said: str) -> None:
        """What the threads `who` of `block` do: ``Thread 3 reads ...``, ``Thread 3 and 12 more read ...``."""
        if not self.has(kind, line):
            named = self.thread(who[0], block).capitalize()
            if len(who) > 1:
                named, verb = f"{named} and {len(who) - 1} more", _PLURAL.get(verb, verb.removesuffix("s"))
            self.add(kind, line, f"{named} {verb} {said}", block, who)


def _short(index: Dim3, shape: Dim3) -> str:
    used = max((axis + 1 for axis in range(3) if shape[axis] > 1), default=1)
    return str(index[0]) if used == 1 else str(index[:used])

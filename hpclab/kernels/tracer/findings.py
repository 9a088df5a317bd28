"""What is wrong, said once per line of source and kind, with the first threads it happened to."""

from __future__ import annotations

from collections.abc import Sequence

from hpclab.kernels.tracer.lanes import Dim3, Threads
from hpclab.models.gpu_memory import COSTS, ERRORS, Finding

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

    def thread(self, number: int, block: Dim3 | None = None) -> str:
        """``thread 3``, ``thread (3, 1)``, and of which block where there are several."""
        text = f"thread {_short(self.threads.index(int(number)), self.threads.shape)}"
        return (
            text if block is None or self.grid == (1, 1, 1) else f"{text} of block {_short(block, self.grid)}"
        )

    def these(self, numbers: Sequence[int], block: Dim3) -> str:
        """``thread 3 and 12 more``: the first by name, the others counted."""
        more = f" and {len(numbers) - 1} more" if len(numbers) > 1 else ""
        return self.thread(numbers[0], block) + more


def _short(index: Dim3, shape: Dim3) -> str:
    used = max((axis + 1 for axis in range(3) if shape[axis] > 1), default=1)
    return str(index[0]) if used == 1 else str(index[:used])

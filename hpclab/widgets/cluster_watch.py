"""Looks at a pool's queue and nodes again and again while something runs, and hands on a picture of them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from hpclab.figures import nodes_view

EVERY = 0.7  # seconds; Slurm's answers are shared by everybody who asks within half a second


class ClusterWatch:
    """`show(html)` is called from a thread between `start()` and `stop()`, and once at each `look()`.

    A queue that cannot be asked is said in the picture, and asked again the next time.
    """

    def __init__(self, pool: Any, show: Callable[[str], None]):
        self._pool, self._show = pool, show
        self._wanted = 0
        self._slurm: Any = None
        self._stop = threading.Event()
        self._stop.set()
        self._lock = threading.Lock()

    def start(self, wanted: int) -> None:
        """Begin to look, or go on; `wanted` nodes are on their way."""
        with self._lock:
            self._wanted = wanted
            if self._stop.is_set():
                self._stop = threading.Event()
                threading.Thread(
                    target=self._watch, args=(self._stop,), name="hpclab-watch", daemon=True
                ).start()

    def stop(self) -> None:
        """Look once more and end."""
        self._stop.set()

    def look(self) -> None:
        """One look now, in the caller's thread."""
        try:
            self._show(self._picture())
        except Exception as error:  # whatever a slow or broken queue gives; it must not end the watching
            self._show(nodes_view.problem(f"The queue could not be asked: {error}"))

    def _picture(self) -> str:
        joined = self._pool.nodes
        if self._pool.backend == "slurm":
            if self._slurm is None:
                from hpclab.cluster import slurm

                self._slurm = slurm.connect(start=False, export=False)
            return nodes_view.draw(self._slurm.nodes(), self._pool.jobs(), joined=joined, wanted=self._wanted)
        return nodes_view.draw(workers=self._pool.workers(), joined=joined, wanted=self._wanted)

    def _watch(self, stop: threading.Event) -> None:
        while not stop.wait(EVERY):
            self.look()
        self.look()

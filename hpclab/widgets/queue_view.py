"""The queue and the nodes, live: one poll for everything that is shown, and a button that stops it. Keep what
`watch` returns: run the cell again, and the view before it is dropped and stops asking."""

import math
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from html import escape
from typing import Any

import ipywidgets as widgets
from IPython.display import display

from hpclab.cluster.slurm import Job, Slurm, connect
from hpclab.cluster.slurm.records import node_names
from hpclab.figures import nodes_view, style, wording

STOPS_AFTER = 900.0  # seconds; a browser does not tell the kernel that nobody looks any more
POOL_EVERY = 0.7  # seconds; Slurm's answers are shared by everybody who asks within half a second


@dataclass(frozen=True)
class Snapshot:
    """A picture as HTML and a sentence beside it; after the `last` one watching ends."""

    picture: str
    said: str = ""
    last: bool = False


class QueueView:
    """Shows what `take()` gives, again and again from `start` to `stop`; `box` holds it with its button. A
    widget sends only a value that changed, so a screen reader hears changes and not a clock."""

    def __init__(self, take: Callable[[], Snapshot], interval: float, stops_after: float = math.inf) -> None:
        self._every = interval, stops_after
        self._take, self._lock, self._stopped = take, threading.Lock(), threading.Event()
        self._stopped.set()
        self.button = widgets.Button(layout={"width": "13em"})
        self.status, self.picture = widgets.HTML(), widgets.HTML()
        itself = weakref.ref(self)  # the button must not keep a view alive that the learner has dropped
        self.button.on_click(lambda _: (view := itself()) and (view.stop if view.running else view.start)())
        self.box = widgets.VBox(
            [widgets.HBox([self.button, self.status]), self.picture],
            layout={"max_width": f"{style.WIDTH}px", "min_height": "210px"},  # rows come and go in it
        )
        self._label()

    @property
    def running(self) -> bool:
        return not self._stopped.is_set()

    def start(self) -> None:
        """Refresh every `interval` seconds until stopped, dropped, or `stops_after` seconds have passed."""
        with self._lock:
            if not self.running:
                self._stopped = threading.Event()
                arguments = (weakref.ref(self), self._stopped, *self._every)
                threading.Thread(target=_keep_fresh, args=arguments, daemon=True, name="queue view").start()
        self._label()

    def stop(self) -> None:
        """Refresh once more, in the thread that has done it so far, and end."""
        self._stopped.set()
        self._label()

    def refresh(self) -> None:
        """Ask once and show the answer; what cannot be asked is a sentence, and the last picture stays."""
        try:
            found = self._take()
        except Exception as error:  # whatever a slow or broken queue gives; it must not end the watching
            self._say(f"The queue could not be asked: {error}")
            return
        if found.last:
            self.stop()
        self._say(found.said)
        self.picture.value = found.picture

    def _label(self) -> None:
        self.button.description, self.button.tooltip, self.button.icon = (
            ("Stop refreshing", "Stop asking Slurm", "pause") if self.running
            else ("Refresh again", "Ask Slurm again, every few seconds", "play")
        )  # fmt: skip

    def _say(self, text: str) -> None:
        css = f"font-size:{style.TEXT:g}px;padding-left:10px"
        self.status.value = f'<div role="status" style="{css}">{escape(text)}</div>' if text else ""


def watch(slurm: Slurm) -> QueueView:
    """Show `slurm`'s queue and nodes under this cell and keep them fresh: every second on our own Slurm,
    every five on a site's, which has others to answer."""
    view = QueueView(lambda: slurm_snapshot(slurm), 1.0 if slurm.kind == "local" else 5.0, STOPS_AFTER)
    view.start()
    view.refresh()
    display(view.box)
    return view


def slurm_snapshot(slurm: Slurm) -> Snapshot:
    """The nodes and the queue of `slurm`, and why jobs wait."""
    if slurm.kind == "none":
        return Snapshot("", slurm.version, last=True)
    jobs, nodes = slurm.queue(), list[Any](slurm.nodes())
    running = sum(job.state == "RUNNING" for job in jobs)
    waiting = [job for job in jobs if job.state == "PENDING"]
    said = f"{wording.counted(running, 'job')} running, {len(waiting)} waiting; "
    said += f"{wording.counted(len(nodes), 'node')}."
    reasons = dict.fromkeys(slurm.explain(job.reason) for job in waiting if job.reason)
    rows = "".join(f"<li>{escape(sentence)}</li>" for sentence in reasons)
    css = f"font-size:{style.TEXT:g}px;line-height:1.3;margin:4px 0"
    picture = nodes_view.draw(nodes, [box for job in jobs for box in _shown(job)])
    return Snapshot(picture + f'<ul style="{css}">{rows}</ul>' * bool(rows), said)


def pool_view(pool: Any, wanted: Callable[[], int]) -> QueueView:
    """A view of the nodes of `pool`, of which there should be `wanted()`: its jobs, or its processes."""
    slurm = cache(lambda: connect(start=False, export=False))

    def take() -> Snapshot:
        here: dict[str, Any] = {"joined": pool.nodes, "wanted": wanted()}
        if pool.backend == "slurm":
            return Snapshot(nodes_view.draw(list[Any](slurm().nodes()), pool.jobs(), **here))
        return Snapshot(nodes_view.draw(workers=pool.workers(), **here))

    return QueueView(take, POOL_EVERY)


def _keep_fresh(
    itself: weakref.ref[QueueView], stopped: threading.Event, interval: float, stops_after: float
) -> None:
    """The thread that refreshes: it holds no view between two answers, so that a dropped one ends it."""
    deadline, ending = time.monotonic() + stops_after, False
    while not ending:
        ending = stopped.wait(interval)
        if (view := itself()) is None:
            return
        if time.monotonic() > deadline:
            view.stop()
        view.refresh()
        del view


def _shown(job: Job) -> list[Any]:
    """A copy of the job for each node it runs on, or one where it waits; its name is beside its number."""
    number = f"{job.array_job}_{job.array_task}" if job.array_job else str(job.id)
    shown: Any = replace(job, id=f"{number} {job.name}"[:40], node_list="")  # type: ignore[arg-type]
    return [replace(shown, node_list=name) for name in node_names(job.node_list)] or [shown]

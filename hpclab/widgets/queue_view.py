"""The queue and the nodes, live: one poll for everything that is shown, and a button that stops it.

    view = queue_view.watch(slurm)

Keep what `watch` returns: run the cell again, and the view before it is dropped and stops asking.
"""

from __future__ import annotations

import html
import re
import threading
import time
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import ipywidgets as widgets
from IPython.display import display

from hpclab import checks
from hpclab.cluster.slurm import Job, Slurm, SlurmError
from hpclab.figures import nodes_view

STOPS_AFTER = 900.0  # seconds; a browser does not tell the kernel that nobody looks any more


@dataclass
class _Shown:
    """A job as a box shows it: on one node, and with its name beside its number."""

    id: int | str
    name: str
    state: str
    reason: str
    node_list: str


class QueueView:
    """`box` holds the picture; its button calls `start` and `stop`, its thread `refresh`."""

    def __init__(self, slurm: Slurm, interval: float, stops_after: float) -> None:
        self.slurm = slurm
        self.interval = checks.number("interval", interval, 0.2, 3600, "s")
        self.stops_after = checks.number("stops_after", stops_after, 0.2, 86400, "s")
        self.button = widgets.Button(layout={"width": "13em"})
        self.status, self.picture, self.reasons = widgets.HTML(), widgets.HTML(), widgets.HTML()
        self._stopped = threading.Event()
        self._stopped.set()
        itself = weakref.ref(self)  # the button must not keep a view alive that the learner has dropped
        self.button.on_click(lambda _: _toggle(itself()))
        self.box = widgets.VBox(
            [widgets.HBox([self.button, self.status]), self.picture, self.reasons],
            layout={"max_width": "800px"},
        )
        self._label()

    @property
    def running(self) -> bool:
        return not self._stopped.is_set()

    def start(self) -> None:
        """Refresh every `interval` seconds until stopped, dropped, or `stops_after` seconds have passed."""
        if not self.running:
            self._stopped = threading.Event()
            self._label()
            arguments = (weakref.ref(self), self._stopped, self.interval, self.stops_after)
            threading.Thread(target=_keep_fresh, args=arguments, daemon=True, name="queue view").start()

    def stop(self) -> None:
        self._stopped.set()
        self._label()

    def refresh(self) -> None:
        """Ask once and show it; what Slurm cannot say now is a sentence, and the last picture stays.

        A widget sends only a value that changed, so a screen reader hears changes and not a clock.
        """
        try:
            jobs, nodes = self.slurm.queue(), self.slurm.nodes()
        except SlurmError as error:
            self._say(str(error))
            return
        if self.slurm.kind == "none":
            self.stop()
            self._say(self.slurm.version)
            return
        running = [job for job in jobs if job.state == "RUNNING"]
        waiting = [job for job in jobs if job.state == "PENDING"]
        self._say(f"{_count(running, 'job')} running, {len(waiting)} waiting; {_count(nodes, 'node')}.")
        places: list[Any] = list(nodes)
        self.picture.value = nodes_view.draw(places, [part for job in jobs for part in _shown(job)])
        told = dict.fromkeys(self.slurm.explain(job.reason) for job in waiting if job.reason)
        rows = "".join(f"<li>{html.escape(sentence)}</li>" for sentence in told)
        self.reasons.value = (
            f'<ul style="font-size:19px;line-height:1.3;margin:4px 0">{rows}</ul>' if rows else ""
        )

    def _label(self) -> None:
        self.button.description = "Stop refreshing" if self.running else "Refresh again"
        self.button.tooltip = "Stop asking Slurm" if self.running else "Ask Slurm again, every few seconds"
        self.button.icon = "pause" if self.running else "play"

    def _say(self, text: str) -> None:
        self.status.value = (
            f'<div role="status" style="font-size:19px;padding-left:10px">{html.escape(text)}</div>'
        )


def _toggle(view: QueueView | None) -> None:
    if view is not None:
        view.stop() if view.running else view.start()


def watch(slurm: Slurm, interval: float | None = None, stops_after: float = STOPS_AFTER) -> QueueView:
    """Show `slurm`'s queue and nodes under this cell and keep them fresh: every second on our own Slurm,
    every five on a site's, which has others to answer."""
    view = QueueView(slurm, interval or (1.0 if slurm.kind == "local" else 5.0), stops_after)
    view.start()
    view.refresh()
    display(view.box)
    return view


def _keep_fresh(
    itself: weakref.ref[QueueView], stopped: threading.Event, interval: float, stops_after: float
) -> None:
    """The thread: holds no view between two looks, so that a dropped one ends it."""
    deadline = time.monotonic() + stops_after
    while not stopped.wait(interval):
        view = itself()
        if view is None:
            return
        if time.monotonic() > deadline:
            view.stop()
            return
        view.refresh()
        del view


def _shown(job: Job) -> list[_Shown]:
    """A box for each node that the job runs on, or one where it waits."""
    number = f"{job.array_job}_{job.array_task}" if job.array_job else str(job.id)
    shown = _Shown(f"{number} {job.name}"[:40], job.name, job.state, job.reason, "")
    return [replace(shown, node_list=name) for name in _names(job.node_list)] or [shown]


def _names(node_list: str) -> list[str]:
    """``node[1-2,7]`` as node1, node2, node7; at most a thousand."""
    names: list[str] = []
    for prefix, numbers in re.findall(r"([^,\[\]]+)(?:\[([^\]]*)\])?", node_list):
        for part in numbers.split(",") if numbers else [""]:
            first, _, last = part.partition("-")
            if first.isdecimal() and (last or first).isdecimal():
                span = range(int(first), min(int(last or first), int(first) + 1000) + 1)
                names += [f"{prefix}{number:0{len(first)}d}" for number in span]
            else:
                names.append(prefix + part)
    return names[:1000]


def _count(things: Sequence[object], word: str) -> str:
    return f"{len(things)} {word}{'' if len(things) == 1 else 's'}"

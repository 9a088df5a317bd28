"""The queue and the nodes at this moment, as HTML: a box for each node with the job it runs, then who waits.

State is told by a word and a border, not by colour alone. What Slurm reports is text from outside this
program, so everything is escaped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from html import escape
from typing import Protocol

from hpclab.figures import style


class JobLike(Protocol):
    """What is shown of a job: fields as `squeue` has them."""

    id: int | str
    name: str
    state: str
    reason: str
    node_list: str


class NodeLike(Protocol):
    """What is shown of a node: fields as `sinfo` has them."""

    name: str
    state: str


class WorkerLike(Protocol):
    """What is shown of a process of this machine that serves as a node."""

    rank: int
    pid: int


_LISTED = 10  # jobs in the queue, one by one; more are counted by what they wait for
_MOST = 32  # boxes; a class sharing a big site wants its own nodes first, not a thousand


def draw(
    nodes: Sequence[NodeLike] = (),
    jobs: Sequence[JobLike] = (),
    workers: Sequence[WorkerLike] = (),
    joined: int = 0,
    wanted: int = 0,
) -> str:
    """HTML of Slurm's `nodes` and this pool's `jobs`; without Slurm, of the `workers`, processes here.

    `joined` of `wanted` nodes have joined the pool. Jobs that wait are listed with Slurm's reason.
    """
    if jobs or nodes:
        on: dict[str, list[JobLike]] = {node.name: [] for node in nodes}
        for job in jobs:
            if job.state.upper().startswith("RUN") and job.node_list in on:
                on[job.node_list].append(job)
        mine_first = sorted(nodes, key=lambda node: not on[node.name])[:_MOST]
        boxes = [_node(node, on[node.name]) for node in mine_first]
        if len(nodes) > _MOST:
            boxes.append(_box(f"and {len(nodes) - _MOST} more nodes", "", "idle"))
        shown = {id(job) for node in mine_first for job in on[node.name]}
        rest = [job for job in jobs if id(job) not in shown]
        queue = _queue(rest) or [_box("no job waits", "", "idle")]
        parts = [_row("Nodes", boxes), _row("Queue", queue)]
    elif workers:
        boxes = [
            _box(f"process {worker.pid}", f"rank {worker.rank}", "compute") for worker in workers[:_MOST]
        ]
        parts = [_row("Nodes", boxes)]
    else:
        parts = [_row("Nodes", [_box("none yet", "", "idle")])]
    said = f"Queue and nodes: {joined} of {max(joined, wanted)} nodes joined"
    look = f"font-size:{style.TEXT:g}px;line-height:1.3;color:{style.INK};background:{style.GROUND}"
    return f'<div role="group" aria-label="{said}" style="{look}">{"".join(parts)}</div>'


def _node(node: NodeLike, jobs: Sequence[JobLike]) -> str:
    if jobs:
        return _box(node.name, "job " + ", ".join(str(job.id) for job in jobs), "compute")
    state = node.state.lower()
    return _box(node.name, state, "idle" if state.startswith("idle") else "waiting")


def _queue(jobs: Sequence[JobLike]) -> list[str]:
    if len(jobs) <= _LISTED:
        return [_box(f"job {job.id}", _state(job), "queue wait") for job in jobs]
    counts = Counter(_state(job) for job in jobs)
    return [_box(f"{count} jobs", state, "queue wait") for state, count in counts.most_common(_LISTED)]


def _state(job: JobLike) -> str:
    state = job.state.lower()
    if state.startswith("pend") and job.reason not in ("", "None"):
        state += f": {job.reason}"
    elif state.startswith("run") and job.node_list:
        state += f" on {job.node_list}"
    return state


def _box(name: str, state: str, meaning: str) -> str:
    colour = style.COLOUR[meaning]
    line = "dashed" if meaning == "idle" else "solid"
    said = f"<b>{escape(name)}</b> {escape(state)}" if state else escape(name)
    look = (
        f"border:2px {line} {colour};border-radius:5px;padding:0 8px;margin:2px 6px 2px 0;white-space:nowrap"
    )
    return f'<span role="listitem" style="display:inline-block;{look}">{said}</span>'


def _row(name: str, boxes: Sequence[str]) -> str:
    label = f'<span style="flex:none;width:4em;color:{style.MUTED};padding-top:3px">{name}</span>'
    return (
        f'<div style="display:flex">{label}<div role="list" aria-label="{name}">{"".join(boxes)}</div></div>'
    )


def problem(sentence: str) -> str:
    """The same place in the same look, where there is nothing to show but a reason."""
    return f'<div style="font-size:{style.TEXT:g}px;color:{style.INK}">{escape(sentence)}</div>'

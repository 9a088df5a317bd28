"""The nodes and the queue as HTML: a box for each node with the job it runs, then the jobs that wait."""

from collections import Counter
from collections.abc import Sequence
from html import escape
from typing import Any

from hpclab.figures import style

_LISTED = 10  # jobs in the queue, one by one; more are counted by what they wait for
_MOST = 32  # boxes; a class sharing a big site wants its own nodes first, not a thousand


def draw(
    nodes: Sequence[Any] = (), jobs: Sequence[Any] = (), workers: Sequence[Any] = (),
    joined: int = 0, wanted: int = 0,
) -> str:  # fmt: skip
    """HTML of cluster.slurm's `nodes` and this pool's `jobs`; without Slurm, of the pool's `workers`.
    `joined` of `wanted` nodes have joined the pool. Jobs that wait are listed with Slurm's reason."""
    rows = {"Nodes": [box(f"process {one.pid}", f"rank {one.rank}", "compute") for one in workers[:_MOST]]}
    if jobs or nodes:
        on: dict[str, list[Any]] = {node.name: [] for node in nodes}
        for job in jobs:
            if job.state.upper().startswith("RUN") and job.node_list in on:
                on[job.node_list].append(job)
        mine_first = sorted(nodes, key=lambda node: not on[node.name])[:_MOST]
        shown = {id(job) for node in mine_first for job in on[node.name]}
        rows["Nodes"] = [_node(node, on[node.name]) for node in mine_first]
        if len(nodes) > _MOST:
            rows["Nodes"].append(box(f"and {len(nodes) - _MOST} more nodes"))
        rows["Queue"] = _queue([job for job in jobs if id(job) not in shown]) or [box("no job waits")]
    parts = ""
    for name, boxes in rows.items():
        label = f'<span style="flex:none;width:4em;color:{style.MUTED};padding-top:3px">{name}</span>'
        listed = f'<div role="list" aria-label="{name}">{"".join(boxes or [box("none yet")])}</div>'
        parts += f'<div style="display:flex">{label}{listed}</div>'
    every = max(joined, wanted)
    said = "Queue and nodes" + f": {joined} of {every} nodes joined" * bool(every)
    css = f"font-size:{style.PROSE};line-height:1.3;color:{style.INK};background:{style.GROUND}"
    return f'<div role="group" aria-label="{said}" style="{css}">{parts}</div>'


def _node(node: Any, jobs: Sequence[Any]) -> str:
    """The box of a node: with the `jobs` that it runs, else with its state."""
    if jobs:
        return box(node.name, "job " + ", ".join(str(job.id) for job in jobs), "compute")
    state = node.state.lower()
    return box(node.name, state, "idle" if state.startswith("idle") else "waiting")


def _queue(jobs: Sequence[Any]) -> list[str]:
    """A box for each of `jobs`, or, if they are many, for each state with the number of jobs in it."""
    if len(jobs) <= _LISTED:
        return [box(f"job {job.id}", _state(job), "queue wait") for job in jobs]
    counts = Counter(_state(job) for job in jobs)
    return [box(f"{count} jobs", state, "queue wait") for state, count in counts.most_common(_LISTED)]


def _state(job: Any) -> str:
    """A job's state, with Slurm's reason while it is pending, or with the nodes on which it runs."""
    state = job.state.lower()
    if state.startswith("pend") and job.reason not in ("", "None"):
        return f"{state}: {job.reason}"
    return f"{state} on {job.node_list}" if state.startswith("run") and job.node_list else state


def box(name: str, state: str = "", meaning: str = "idle") -> str:
    """HTML of a box for a node, job or process, escaped; `meaning` gives its colour, and idle is dashed."""
    line = "dashed" if meaning == "idle" else "solid"
    said = f"<b>{escape(name)}</b> {escape(state)}" if state else escape(name)
    css = f"display:inline-block;border:2px {line} {style.COLOUR[meaning]};border-radius:5px;padding:0 8px"
    return f'<span role="listitem" style="{css};margin:2px 6px 2px 0;white-space:nowrap">{said}</span>'

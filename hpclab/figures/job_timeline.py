"""When jobs waited and when they ran: a row for each, from its submission to its end.

Slurm keeps whole seconds, so a bar may be a second off at either end.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from html import escape
from typing import Protocol, runtime_checkable

from hpclab import checks
from hpclab.figures import style
from hpclab.units import format_seconds

_LEFT, _ROW, _MOST = 150, 32, 24


@runtime_checkable
class FinishedLike(Protocol):
    """What is drawn of a job that has ended; times in seconds on one clock, None where unknown."""

    id: int
    name: str
    state: str
    node_list: str
    submitted: float | None
    started: float | None
    ended: float | None
    array_task: int | None


def draw(jobs: Sequence[FinishedLike], predicted: float | None = None) -> str:
    """The jobs as SVG, first submitted on top; `predicted` seconds from the first submission to the last end
    is drawn as a line."""
    if predicted is not None:
        predicted = checks.number("predicted", predicted, 0, 1e9, "s")
    jobs = checks.instances("jobs", jobs, FinishedLike, "a job that has ended")
    known = [job for job in jobs if None not in (job.submitted, job.started, job.ended)]
    for job in known:
        for name in ("name", "node_list"):
            checks.instance(f"{name} of the job {job.id}", getattr(job, name), str, "text")
        for name in ("submitted", "started", "ended"):
            checks.number(f"{name} of the job {job.id}", getattr(job, name), -1e12, 1e12, "s")
    rows = sorted(known, key=lambda job: (job.submitted, job.array_task or 0, job.id))
    if not rows:
        empty = [style.text(0, 70, "Run the jobs, and they are drawn here.", colour=style.MUTED)]
        return style.document("No job has ended yet", "An empty figure.", empty, height=90)
    zero = min(job.submitted or 0 for job in rows)
    last = max((job.ended or 0) - zero for job in rows)
    title = f"{len(rows)} job{'s' * (len(rows) > 1)}, the last done after {format_seconds(last)}"
    title += f"; predicted {format_seconds(predicted)}" if predicted is not None else ""
    title += f" (the first {_MOST} are drawn)" if len(rows) > _MOST else ""
    rows = rows[:_MOST]
    span = max(last, predicted or 0, 1.0)
    scale = (style.WIDTH - _LEFT - 130) / span
    top = style.title_height(title) + 2.2 * style.TEXT
    bottom = top + _ROW * len(rows)
    prefix = f"t{zlib.crc32(title.encode()):x}"
    body = [f"<defs>{style.pattern('queue wait', prefix)}</defs>", *_key(top, prefix)]
    told = []
    for place, job in enumerate(rows):
        begin, wait, run = _stretches(job, zero)
        y, end = top + _ROW * place, _LEFT + (begin + wait + run) * scale
        name = job.name if job.array_task is None else f"{job.name} {job.array_task}"
        told.append(f"{name} waited {wait:.0f} s and ran {run:.0f} s on {job.node_list or 'no node'}.")
        body += [
            style.text(_LEFT - 8, y + 22, _cut(name, _LEFT - 8), anchor="end"),
            _bar(_LEFT + begin * scale, y, wait * scale, style.fill("queue wait", prefix), told[-1]),
            _bar(_LEFT + (begin + wait) * scale, y, run * scale, style.COLOUR["compute"], told[-1]),
            style.text(end + 8, y + 22, _cut(job.node_list, 120, from_end=True), colour=style.MUTED),
        ]
    body += _axis(span, scale, bottom)
    if predicted is not None:
        x = _LEFT + predicted * scale
        key, y = _LEFT + 264, top - 1.6 * style.TEXT
        body += [
            _line(f"M{x:.1f},{top - 4:.1f}V{bottom + 6:.1f}"),
            _line(f"M{key},{y + 12:.1f}h28"),
            style.text(key + 36, y + 17, "predicted end"),
        ]
    return style.document(title, " ".join(told), body, height=bottom + 3.2 * style.TEXT)


def _cut(name: str, width: float, from_end: bool = False) -> str:
    """As much of `name` as `width` pixels hold; of a node the end, where its number stands."""
    short = name
    for kept in range(len(name) - 1, 0, -1):
        if style.text_width(short) <= width:
            break
        short = "…" + name[-kept:] if from_end else name[:kept] + "…"
    return short


def _stretches(job: FinishedLike, zero: float) -> tuple[float, float, float]:
    """Seconds from `zero` to the submission, then waiting, then running."""
    submitted, started, ended = job.submitted or 0.0, job.started or 0.0, job.ended or 0.0
    return submitted - zero, started - submitted, ended - started


def _line(path: str) -> str:
    look = f'stroke="{style.COLOUR["prediction"]}" stroke-width="3" stroke-dasharray="7 4"'
    return f'<path d="{path}" {look}/>'


def _bar(x: float, y: float, width: float, fill: str, tip: str) -> str:
    if width <= 0:
        return ""
    look = f'fill="{fill}" stroke="{style.INK}" stroke-width=".7"'
    return (
        f'<rect x="{x:.1f}" y="{y + 4:.1f}" width="{width:.1f}" height="{_ROW - 8}" {look}>'
        f"<title>{escape(tip)}</title></rect>"
    )


def _key(top: float, prefix: str) -> list[str]:
    y = top - 1.6 * style.TEXT
    return [
        _bar(_LEFT, y - 4, 26, style.fill("queue wait", prefix), "waiting"),
        style.text(_LEFT + 34, y + 17, "waiting"),
        _bar(_LEFT + 130, y - 4, 26, style.COLOUR["compute"], "running"),
        style.text(_LEFT + 164, y + 17, "running"),
    ]


def _axis(span: float, scale: float, bottom: float) -> list[str]:
    step = next(size for size in (1, 2, 5, 10, 20, 60, 120, 300, 600, 3600, 86400, 1e9) if span / size <= 8)
    right = _LEFT + span * scale
    parts = [f'<path d="M{_LEFT},{bottom:.1f}H{right:.1f}" stroke="{style.INK}"/>']
    for tick in range(int(span / step) + 1):
        x = _LEFT + tick * step * scale
        parts.append(f'<path d="M{x:.1f},{bottom:.1f}v6" stroke="{style.INK}"/>')
        parts.append(style.text(x, bottom + 1.35 * style.TEXT, f"{tick * step:g}", anchor="middle"))
    label = "seconds since the first was submitted"
    parts.append(
        style.text((_LEFT + right) / 2, bottom + 2.7 * style.TEXT, label, anchor="middle", colour=style.MUTED)
    )
    return parts

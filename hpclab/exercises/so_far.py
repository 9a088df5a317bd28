"""How far the learner has come: how well predictions fit, what is solved, what is next. `so_far.show()`."""

import math
import statistics
from collections.abc import Sequence
from html import escape

from hpclab.course import ledger, lessons
from hpclab.exercises import show_message
from hpclab.exercises.prediction import format_factor, format_number

_ENOUGH = 4  # predictions before a first and a later half say anything
_CHANGE = 1.25  # and by how much they must differ
_STYLE = (
    "<style>.hpclab-so-far :is(th,td){text-align:left!important;padding:3px 14px 3px 0;font-size:1.1em}"
    ".hpclab-so-far [aria-hidden]{color:#D55E00}</style>"
)


def show() -> None:
    """Show the learner's progress below the notebook cell, from the ledger of this folder."""
    first, rows, last = summary(ledger.kept_entries())
    body = "".join(
        f'<tr><th scope="row">{number}</th><td>{escape(title)}</td><td>{off}</td><td '
        f'aria-hidden="true">{bar}</td><td>{done}</td><td>{escape(best)}</td></tr>'
        for number, title, off, bar, done, best in rows
    )
    table = f'<table class="hpclab-so-far" aria-label="Lesson by lesson">{body}</table>'
    markup = f"{_STYLE}<b>So far.</b> {escape(first)}{table}{escape(last)}"
    show_message("So far", "\n".join([first, *lines(rows), last]), markup=markup)


def lines(rows: Sequence[Sequence[str]]) -> list[str]:
    """The rows of `summary` as aligned lines for a terminal."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  " + "  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def summary(entries: Sequence[ledger.Entry]) -> tuple[str, list[list[str]], str]:
    """How well predictions fit; a row of texts for each lesson, its number and title, how far off they were
    in words and as a bar (full from ten times on), solved exercises, best scores; and what is next."""
    course, counted = lessons(), ledger.first_predictions(entries)
    solved = [one for one in entries if one.kind == "solved"]
    done = {(one.lesson, one.name) for one in solved}
    rows = []
    for lesson in course:
        offs = [entry.factor for entry in counted if entry.lesson == lesson.number]
        off = statistics.median(offs) if offs else 1.0
        scored = [one for one in solved if one.lesson == lesson.number and one.score is not None]
        best = {one.name: one for one in sorted(scored, key=lambda one: -(one.score or 0))}
        scores = (f"{one.name} {format_number(one.score or 0)} {one.unit}".rstrip() for one in best.values())
        count = sum((lesson.number, name) in done for name in lesson.exercises)
        rows.append([
            lesson.number, lesson.title.partition(":")[0],
            f"off by {format_factor(off)}" if offs else "no prediction",
            "█" * round(min(10, 10 * math.log10(off))),
            f"{count} of {len(lesson.exercises)} solved", ", ".join(scores),
        ])  # fmt: skip
    todo = [(one, name) for one in course for name in one.exercises if (one.number, name) not in done]
    here = entries[-1].lesson if entries else ""
    todo.sort(key=lambda one: one[0].number < here)  # from where the learner was last
    last = [f"Next: {name} in lesson {one.number}, {one.title.partition(':')[0]}." for one, name in todo]
    return _calibration([entry.factor for entry in counted]), rows, (last or ["Every exercise is solved."])[0]


def _calibration(offs: Sequence[float]) -> str:
    """How far off predictions are, and whether they come closer, in a sentence or two."""
    if not offs:
        return "No prediction counts yet: commit to a number before a run, and its verdict is kept."
    off = format_factor(statistics.median(offs))
    said = f"{len(offs)} prediction{'s' * (len(offs) > 1)}, off by {off} (median)"
    if len(offs) < _ENOUGH:
        return said + "."
    first, later = (statistics.median(half) for half in (offs[: len(offs) // 2], offs[len(offs) // 2 :]))
    closer, further = later * _CHANGE < first, later > first * _CHANGE
    way = "closer" if closer else "further off" if further else "about as far off"
    halves = f"The first half by {format_factor(first)}, the later half by {format_factor(later)}"
    return f"{said}. {halves}: {way}."

"""How far the learner has come: how well predictions fit, what is solved, what is next. `so_far.show()`."""

from __future__ import annotations

import math
import re
import statistics
import sys
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from hpclab.course import Lesson, ledger, lessons
from hpclab.exercises import box
from hpclab.exercises.prediction import factor

if TYPE_CHECKING:
    from hpclab.exercises import Exercise

_ENOUGH = 4  # predictions before a first and a later half say anything
_CHANGE = 1.25  # and by how much they must differ


def solved(exercise: Exercise, score: tuple[float, str] | None = None) -> None:
    """Keep in the ledger that an exercise of a lesson is solved, with its score, of which less is better."""
    for module, content in list(sys.modules.items()):
        if lesson := re.fullmatch(r"hpclab\.exercises\.lesson_(\d\d)", module):
            for name, value in vars(content).items():
                if value is exercise:
                    number, unit = score or (None, "")
                    ledger.keep(ledger.Entry("solved", lesson[1], name, unit, score=number))


def show() -> None:
    """Show it for the notebook that runs here."""
    entries, course = ledger.kept(), lessons()
    text = "\n".join([calibration(entries), *table(entries, course), following(entries, course)])
    box.show("So far", text, markup=_markup(entries, course))


def calibration(entries: Sequence[ledger.Entry]) -> str:
    """How far off predictions are, and whether they come closer, in a sentence or two."""
    offs = [entry.off for entry in ledger.counted(entries)]
    if not offs:
        return "No prediction counts yet: commit to a number before a run, and its verdict is kept."
    high = sum((entry.said or 0) > (entry.came or 0) for entry in ledger.counted(entries))
    said = f"{len(offs)} prediction{'s' * (len(offs) > 1)}, off by {factor(statistics.median(offs))}"
    said += f" (median), {high} too high" if len(offs) > 1 else ""
    if len(offs) < _ENOUGH:
        return said + "."
    first, later = (statistics.median(part) for part in (offs[: len(offs) // 2], offs[len(offs) // 2 :]))
    way = (
        "closer"
        if later * _CHANGE < first
        else "further off"
        if later > first * _CHANGE
        else "about as far off"
    )
    return f"{said}. The first half by {factor(first)}, the later half by {factor(later)}: {way}."


def table(entries: Sequence[ledger.Entry], course: Sequence[Lesson]) -> list[str]:
    """A line for each lesson, as the command line prints them."""
    rows = [_row(entries, lesson) for lesson in course]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  " + "  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def following(entries: Sequence[ledger.Entry], course: Sequence[Lesson]) -> str:
    """The first unsolved exercise, from the lesson that was worked at last."""
    at = max(
        (n for n, lesson in enumerate(course) if entries and lesson.number == entries[-1].lesson), default=0
    )
    for lesson in [*course[at:], *course[:at]]:
        for name in lesson.exercises:
            if name not in _solved(entries, lesson):
                return f"Next: {name} in lesson {lesson.number}, {lesson.title.partition(':')[0]}."
    return "Every exercise is solved."


def _solved(entries: Sequence[ledger.Entry], lesson: Lesson) -> set[str]:
    return {one.name for one in entries if one.kind == "solved" and one.lesson == lesson.number}


def _row(entries: Sequence[ledger.Entry], lesson: Lesson) -> tuple[str, ...]:
    """Number, title, how far off predictions were, how many exercises are solved, the best scores."""
    offs = [entry.off for entry in ledger.counted(entries) if entry.lesson == lesson.number]
    scored = [e for e in entries if e.kind == "solved" and e.lesson == lesson.number and e.score is not None]
    best = {e.name: e for e in sorted(scored, key=lambda e: e.score or 0, reverse=True)}
    done = len(_solved(entries, lesson) & set(lesson.exercises))
    return (
        lesson.number,
        lesson.title.partition(":")[0],
        f"off by {factor(statistics.median(offs))}" if offs else "no prediction",
        f"{done} of {len(lesson.exercises)} solved",
        ", ".join(f"{name} {entry.score:.3g} {entry.unit}".rstrip() for name, entry in best.items()),
    )


def _markup(entries: Sequence[ledger.Entry], course: Sequence[Lesson]) -> str:
    """The same as a table; a bar repeats how far off predictions were, full from ten times on."""
    rows = ""
    for number, title, off, done, best in (_row(entries, lesson) for lesson in course):
        offs = [entry.off for entry in ledger.counted(entries) if entry.lesson == number]
        length = 90 * min(1, math.log10(statistics.median(offs))) if offs else 0
        bar = f'<span aria-hidden="true" style="width:{length:.0f}px"></span>'
        cells = "".join(f"<td>{part}</td>" for part in (f"{escape(off)} {bar}", escape(done), escape(best)))
        rows += f'<tr><th scope="row">{number}</th><td>{escape(title)}</td>{cells}</tr>'
    return (
        "<style>.hpclab-so-far :is(th,td){text-align:left!important;padding:2px 14px 2px 0}"
        ".hpclab-so-far span{display:inline-block;height:10px;background:#D55E00}</style>"
        f"<b>So far.</b> {escape(calibration(entries))}"
        f'<table class="hpclab-so-far">{rows}</table>{escape(following(entries, course))}'
    )

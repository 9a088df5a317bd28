"""What this machine can do, as a table that a screen reader reads row by row, and a button to look again."""

import re
from collections.abc import Callable, Sequence
from html import escape

from hpclab.course import Lesson, lessons
from hpclab.figures import style
from hpclab.machine import Machine, probe
from hpclab.machine.capability import capabilities, for_lesson
from hpclab.widgets.explorer import Explorer, button

_SIGN = {"yes": "●", "partly": "◐", "no": "○"}  # filled, half, open: the colour only repeats it
_COLOUR = {"yes": style.COLOUR["storage"], "partly": style.COLOUR["queue wait"], "no": style.MUTED}
_CSS = f"""<style>
.hpclab-can table {{border-collapse:collapse;width:100%;margin:0 0 14px;font-size:inherit}}
.hpclab-can :is(caption,summary) {{text-align:left;font-weight:600;font-size:{style.TITLE:g}px;
  padding:6px 0;color:{style.INK}}}
.hpclab-can th,.hpclab-can td {{text-align:left;vertical-align:top;padding:5px 14px 5px 0;
  border-top:1px solid {style.GRID};font-weight:400;background:none}}
.hpclab-can th[scope=row] {{font-weight:600;white-space:nowrap;width:4.8em}}
.hpclab-can .state {{white-space:nowrap;width:4.8em}}
.hpclab-can code {{font-size:.9em;background:none;color:inherit;white-space:nowrap}}
.hpclab-can .remedy {{color:{style.MUTED};display:block}}
</style>"""


class CapabilityTable(Explorer):
    """The capability table of the machine that `describe_machine()` gives, with the course's lessons. "Look
    again" asks the machine once more: a GPU driver loaded or a Slurm installed meanwhile then shows."""

    def __init__(self, describe_machine: Callable[[], Machine]) -> None:
        self._machine, self._lessons = describe_machine, [*lessons()]
        again = button("Look again", "Ask this machine once more", lambda: self.redraw(anew=True))
        super().__init__([], under=[{"again": again}])

    def draw(self) -> str:
        return markup(self._machine(), self._lessons)


def table() -> CapabilityTable:
    """The widget of what this machine can do."""
    return CapabilityTable(probe)


def markup(machine: Machine, found: Sequence[Lesson]) -> str:
    """HTML of two tables, with or without a widget: what `machine` can do, and how lessons `found` run."""
    here = "".join(
        _row(item.state, item.name, _prose(item.here), _prose(item.remedy)) for item in capabilities(machine)
    )
    rows = ""
    for lesson in found:
        state, runs = for_lesson(machine, lesson.needs)
        rows += _row(state, lesson.number, escape(lesson.title), escape(runs))
    course = f"<details><summary>The lessons, here</summary><table>{rows}</table></details>" * bool(rows)
    where = ", ".join(filter(None, (machine.platform, machine.processor, machine.container)))
    return (
        f'{_CSS}<div class="hpclab-can" role="region" aria-label="What this machine can do">'
        f"<table><caption>This machine: {escape(where)}</caption>{here}</table>{course}</div>"
    )


def _prose(sentence: str) -> str:
    """The sentence as HTML; what stands between backticks in it is a command."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(sentence))


def _row(state: str, name: str, content: str, more: str) -> str:
    """HTML of a table's row: `name`, `state` with its sign, and `content` with `more` in grey below it."""
    sign = f'<span aria-hidden="true" style="color:{_COLOUR[state]}">{_SIGN[state]}</span>'
    below = f'<span class="remedy">{more}</span>' * bool(more)
    head = f'<th scope="row">{escape(name)}</th><td class="state">{sign} {state}</td>'
    return f"<tr>{head}<td>{content}{below}</td></tr>"

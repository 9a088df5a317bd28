"""The exercises of the lessons, each a judge and hints. A notebook cell holds the learner's answer, `...`
until it is solved; the verdict on a wrong one names its mistake."""

import dis
import html
import math
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from types import FunctionType

from hpclab.course import ledger
from hpclab.exercises.limits import Stopped

_NAME = re.compile(r"[a-z]*[^a-z,:.' ]|[a-z]+ must ")  # a sentence that begins with a name, as it is written
UNSOLVED = "Not solved yet: replace the ... with your answer, then run this cell again."
_COLOUR = {"good": "#009E73", "bad": "#D55E00", "": "#56B4E9"}


def show_message(title: str, text: str, kind: str = "", markup: str | None = None, below: str = "") -> None:
    """Show `text` (or the HTML `markup` in its place) with the SVG `below` it, outside a notebook as a line.

    `kind`, "good", "bad" or "", colours the bar beside it. Text between backticks is code; JupyterLab is kept
    from reading what lies between two $ as mathematics."""
    ipython = sys.modules.get("IPython")
    if ipython is None or ipython.get_ipython() is None:
        print(f"{title}. {text}")
        return
    code = re.sub("`([^`]+)`", r"<code>\1</code>", html.escape(text))
    body = f"<b>{html.escape(title)}.</b> {code}" if markup is None else markup
    framed = (
        f'<div role="status" class="mathjax_ignore" style="border-left:6px solid {_COLOUR[kind]};padding:6px '
        f'12px;margin:4px 0;max-width:46em;line-height:1.45">{body}</div>{below}'
    )
    ipython.display.display({"text/plain": f"{title}. {text}", "text/html": framed}, raw=True)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether an answer passed, and one or two sentences: why it is right, or which mistake it looks like."""

    passed: bool
    message: str
    score: tuple[float, str] | None = None  # and its unit; less is better
    picture: str = field(default="", repr=False)  # SVG of what the answer did

    def show(self, name: str = "") -> None:
        """Show the verdict, with the `name` of its exercise where a cell asks for several."""
        text = self.message.removeprefix("Not solved yet: ")
        title = "Passed" if self.passed else "Not yet right" if text == self.message else "Not solved yet"
        kind = {"Passed": "good", "Not yet right": "bad"}.get(title, "")
        text = text if _NAME.match(text) else text[:1].upper() + text[1:]
        show_message(f"{title}{f' ({name})' * bool(name)}", text, kind, below=self.picture)

    def _ipython_display_(self) -> None:
        """Show nothing: `check` has shown this verdict, and a cell ending in it must not show it twice."""


@dataclass(frozen=True)
class Exercise:
    """An exercise: the number of its `lesson` ("05"), a `name`, a judge, and `hints` from vague to plain. The
    message of a ValueError or `limits.Stopped` that the judge raises becomes the verdict."""

    lesson: str
    name: str
    judge: Callable[[object], Verdict] = field(repr=False)
    hints: tuple[str, ...] = field(default=(), repr=False)
    _hints_shown: list[str] = field(default_factory=list, init=False, repr=False, compare=False)

    def check(self, answer: object) -> Verdict:
        """Show and return the verdict on `answer`; never raises, and `...` earns a reminder, not an error."""
        verdict = self._verdict(answer)
        lesson = sys.modules.get(f"hpclab.exercises.lesson_{self.lesson}")
        name = next((name for name, value in vars(lesson).items() if value is self), "") if lesson else ""
        if verdict.passed and name:
            number, unit = verdict.score or (None, "")
            if number is not None:
                mine = (one for one in ledger.kept_entries() if (one.lesson, one.name) == (self.lesson, name))
                best = min((one.score for one in mine if one.score is not None), default=math.inf)
                said = f"Your best: {min(number, best):g} {unit}."
                if number < best < math.inf:
                    said = f"A new best: {number:g} {unit}, after {best:g}."
                verdict = replace(verdict, message=f"{verdict.message} {said}")
            ledger.append(ledger.Entry("solved", self.lesson, name, unit, score=number))
        verdict.show(self.name)
        return verdict

    def hint(self) -> None:
        """Show one more hint at each call; the last one is shown again when there are no more."""
        if len(self._hints_shown) < len(self.hints):
            self._hints_shown.append(self.hints[len(self._hints_shown)])
        show_message(f"Hint {len(self._hints_shown)} of {len(self.hints)}", self._hints_shown[-1])

    def _verdict(self, answer: object) -> Verdict:
        if is_unsolved(answer):
            return Verdict(False, UNSOLVED)
        if str(getattr(answer, "__module__", "")).startswith("hpclab."):
            return Verdict(False, "That is the package's own code: write the answer yourself, in this cell.")
        try:
            return self.judge(answer)
        except (ValueError, Stopped) as stop:
            return Verdict(False, str(stop))
        except Exception as error:
            return Verdict(False, f"The check could not read this answer ({type(error).__name__}: {error}).")


def is_unsolved(answer: object) -> bool:
    """Whether `answer` is `...`, holds one, or is a function whose body is only `...` (and a docstring)."""
    if isinstance(answer, list | tuple | set | dict):
        return any(part is ... for part in (answer.values() if isinstance(answer, dict) else answer))
    if isinstance(answer, FunctionType):
        steps = [step for step in dis.get_instructions(answer) if step.opname not in ("RESUME", "NOP")]
        constants = [step.argval for step in steps if step.opname in ("LOAD_CONST", "RETURN_CONST")]
        return len(steps) <= 2 and constants in ([None], [...])
    return answer is ...

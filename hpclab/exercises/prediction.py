"""A learner's prediction before a run, or the decision to make none; and the verdict on it after the run."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from hpclab import checks, quality
from hpclab.course import ledger
from hpclab.exercises import show_message
from hpclab.results import Origin, Result
from hpclab.timing import Sample

Came = float | Sequence[Result]
Runs = Sequence[Result] | Sequence[Sample]
_SCALE = {"%": 100, "ms": 1e3, "µs": 1e6}  # of a unit that a learner reads, in SI
_CLOSE = 1.1  # nobody needs to explain a tenth


@dataclass
class Prediction:
    """A learner's prediction of a number between `low` and `high`, in `unit` as the learner reads it; `value`
    is None at first. `lesson` is the number of the lesson that asks ("05"). What to look at first where it
    was wrong is `too_high` or `too_low`."""

    name: str
    unit: str
    low: float
    high: float
    lesson: str = ""
    too_high: str = ""
    too_low: str = ""
    value: float | None = field(default=None, init=False)
    decided: bool = field(default=False, init=False)

    def commit(self, value: object) -> None:
        """Keep `value`; ValueError where it is no number in range, or where the decision is already made."""
        number = checks.number(self.name, value, self.low, self.high, self.unit)
        if self.decided:
            raise ValueError(f"It is already made ({self.text}): run its cell again to start over.")
        self.value, self.decided = number, True

    def skip(self) -> None:
        """Go on without a prediction, unless one is committed."""
        self.decided = True

    @property
    def text(self) -> str:
        """``"you predicted 3.5 ×"`` or ``"no prediction"``."""
        return "no prediction" if self.value is None else f"you predicted {self.value:g} {self.unit}".rstrip()

    def compare(self, came: Came, origin: Origin | str = Origin.MEASURED, runs: Runs = ()) -> None:
        """Show the `verdict`: by which factor the prediction was off, and where to look."""
        show_message(*self.verdict(came, origin, runs))

    def verdict(
        self, came: Came, origin: Origin | str = Origin.MEASURED, runs: Runs = ()
    ) -> tuple[str, str, str]:
        """Append the verdict to the ledger, and return its title, text and kind for `show_message`. `came`,
        the outcome, is a number in SI units (a share for %, seconds for µs) from `origin`, or Results, of
        which the median of those of the strongest origin is taken. `runs` are the measurements that it rests
        on: where `quality.doubt` doubts them, the verdict says so and does not count."""
        if isinstance(came, Sequence):
            if not came:
                return "No verdict yet", f"{self.name}: nothing was measured. Run the cells above.", ""
            runs, origin = runs or came, min((result.origin for result in came), key=list(Origin).index)
            came = statistics.median(result.value for result in came if result.origin is origin)
        came = checks.number("What came", came, -1e300, 1e300) * _SCALE.get(self.unit, 1)
        origin, doubt = str(checks.choice("origin", origin, Origin)), quality.doubt(runs)
        entry = ledger.Entry("prediction", self.lesson, self.name, self.unit, self.value, came, origin, doubt)
        counts = entry in ledger.first_predictions([*ledger.kept_entries(), entry])
        late = " It does not count: the answer was known already." * (not counts)
        ledger.append(entry)
        what, said = f"{format_number(came)} {self.unit}".rstrip() + f" ({origin}).", self.value
        if said is None:
            then = f"In doubt: {doubt}." if doubt else "Commit to a number first: it is judged."
            return "No prediction", f"{self.name}: {what} {then}", ""
        what = f"{self.name}: you said {format_number(said)}, it is {what}"
        if doubt:
            return "No verdict", f"{what} This is worth nothing and does not count: {doubt}.", ""
        if entry.factor <= _CLOSE:
            return "Well predicted", what + late, "good"
        way, reason = ("high", self.too_high) if said > came else ("low", self.too_low)
        by = "" if math.isinf(entry.factor) else f"{format_factor(entry.factor)} "
        return f"Predicted {by}too {way}", what + f" Look first at {reason}." * bool(reason) + late, "bad"


def format_factor(off: float) -> str:
    """The factor `off` as text, ``"1.8×"``; above a thousand ``"over 1,000×"``."""
    return f"{off:.2g}×" if off < 10 else f"{off:,.0f}×" if off < 1000 else "over 1,000×"


def format_number(value: float) -> str:
    """`value` with three digits, or with all those before the point from a thousand on."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"

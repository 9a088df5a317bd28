"""The few ways to judge an answer, so that a lesson's exercise is data: what is right, and the mistakes that
people make, each with the sentence it gets, a template of `str.format`; the first that fits is told."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Real
from types import SimpleNamespace
from typing import Any, TypeGuard

from hpclab import checks
from hpclab.exercises import Verdict, limits

Judge = Callable[[object], Verdict]
Formula = Callable[..., Any]
Mistake = tuple[Any, str]  # what gives it away, and the sentence for it
Mistakes = Iterable[Mistake]


def by_number(
    name: str, right: Any, *mistakes: Mistake, yes: str, otherwise: str = "", unit: str = "",
    allowed: tuple[float, float] = (0, 1), within: float = 0.02, text: Callable[[str], float] | None = None,
    facts: Callable[[float], Mapping[str, Any]] = lambda _: {},
) -> Judge:  # fmt: skip
    """A number in `unit`; `text` reads one that is written with its unit. `right` and what gives a mistake
    away are each a value (met within a share of `within`), a range ``(low, high)``, or a condition. What fits
    none of them and is not in `allowed` is refused. Sentences may use {value} and what `facts(value)`
    holds."""

    def judge(answer: object) -> Verdict:
        given: Any = text(answer) if text and isinstance(answer, str) else answer
        try:
            value = checks.number(name, given, -1e30, 1e30)
        except ValueError:
            value = checks.number(name, given, *allowed, unit)
        correct = fits(value, right, within)
        said = yes if correct else next((said for wrong, said in mistakes if fits(value, wrong, within)), "")
        if not said:
            checks.number(name, given, *allowed, unit)
        return Verdict(correct, (said or otherwise).format(value=value, **facts(value)))

    return judge


def fits(value: float, target: Any, within: float) -> bool:
    """Whether `value` is what gives a mistake away: a value, a range or a condition, as in `by_number`."""
    if callable(target):
        return bool(target(value))
    if isinstance(target, tuple):
        return bool(target[0] <= value <= target[1])
    return bool(abs(value - target) <= within * abs(target))


def by_facts(
    facts: Callable[[Any], Any], *mistakes: Mistake, yes: str, score: tuple[str, str] | None = None
) -> Judge:
    """Several values together: `facts(answer)` reads them and works out what the conditions and sentences
    speak of, as attributes of one object ({f.ridge}); ValueError where `answer` cannot be read. `score` names
    the attribute that is a challenge's score, and its unit."""

    def judge(answer: object) -> Verdict:
        f = facts(answer)
        if wrong := first_mistake(mistakes, f):
            return Verdict(False, wrong)
        return Verdict(True, yes.format(f=f), (getattr(f, score[0]), score[1]) if score else None)

    return judge


def read_dict(answer: object, **most: int | None) -> SimpleNamespace:
    """What the dict `answer` holds under these names: whole numbers from 1 to `most`, or anything where that
    is None; ValueError where it is no such dict."""
    if not isinstance(answer, Mapping) or set(answer) != set(most):
        raise ValueError(f"The answer is a dict with {', '.join(most)}.")
    whole = {name: checks.integer(name, answer[name], 1, high) for name, high in most.items() if high}
    return SimpleNamespace(**{**answer, **whole})


def first_mistake(mistakes: Mistakes, f: Any, **more: Any) -> str:
    """The sentence of the first mistake whose condition holds for `f`, filled in; "" where none does."""
    return next((said.format(f=f, **more) for holds, said in mistakes if holds(f)), "")


def by_choice(
    what: str, right: Mapping[str, str], options: Iterable[str], evidence: Callable[[str, str], str], *,
    yes: str, same: Mapping[str, str] = {},
) -> Judge:  # fmt: skip
    """A dict that names for each key of `right` one of `options`, a `what`; whatever its case and blanks.
    `same` are other words for some options. ``evidence(key, option)`` says what speaks against a wrong
    one."""
    keys, known = sorted(right), {option.lower(): option for option in options}
    listed = "; ".join(known.values())
    known |= {word: known[option] for word, option in same.items()}

    def judge(answer: object) -> Verdict:
        if not isinstance(answer, Mapping) or sorted(str(key).upper() for key in answer) != keys:
            each = f"{', '.join(keys[:-1])} and {keys[-1]}"
            return Verdict(False, f"The answer is a dict with one {what} for each of {each}.")
        given = {str(key).upper(): " ".join(str(value).lower().split()) for key, value in answer.items()}
        for key in keys:
            if given[key] not in known:
                return Verdict(False, f"{key}: a {what} must be one of {listed}.")
            if known[given[key]] != right[key]:
                return Verdict(False, f"{key}: {evidence(key, known[given[key]])}")
        return Verdict(True, yes)

    return judge


def in_turn(*judges: Judge) -> Judge:
    """Each judges what those before it have passed."""

    def judge(answer: object) -> Verdict:
        for one in judges:
            if not (verdict := one(answer)).passed:
                break
        return verdict

    return judge


def by_function(
    signature: str, returns: str, cases: Callable[[], Sequence[tuple]], right: Formula, *mistakes: Mistake,
    otherwise: Callable[..., str], yes: str = "", within: float = 0.01, slack: float = 1e-5, shown: str = "",
    stopped: Callable[[str], str] = str, accepts: Callable[[object], bool] | None = None,
) -> Judge:  # fmt: skip
    """A function, called on `cases()` in a process with limits, held against the formula `right` on them: off
    by a share of at most `within`, or by at most `slack`.

    A mistake is another formula: what it gives on all cases. Its sentence follows `shown`, and both may use
    {0}, {1}, ..., the values that came back, and {first}, what ``otherwise(value, *case)`` says of the first
    wrong one; that alone is said where no mistake fits. `yes` may use {right}, the list of right values.
    `stopped` makes the sentence about a function that returned nothing of use from the usual one."""

    def judge(answer: object) -> Verdict:
        calls = cases()
        try:
            given = called(signature, returns, answer, calls, accepts or is_number)
        except (limits.Stopped, ValueError) as stop:
            return Verdict(False, stopped(str(stop)))
        expected = [right(*case) for case in calls]
        wrong = [n for n, value in enumerate(given) if not _same(value, expected[n], within, slack)]
        if not wrong:
            return Verdict(True, yes.format(*given, right=expected))
        first, close = otherwise(given[wrong[0]], *calls[wrong[0]]), min(within, 0.01)
        for formula, said in mistakes:
            if all(_same(given[n], formula(*case), close) for n, case in enumerate(calls)):
                return Verdict(False, (shown + said).format(*given, first=first))
        return Verdict(False, first)

    return judge


def called(
    signature: str, returns: str, answer: object, cases: Sequence[tuple], accepts: Callable[[object], bool]
) -> list[Any]:
    """What the function `answer` returned on `cases`; ValueError where that is not `returns`."""
    if not callable(answer):
        raise ValueError(f"The answer is a function: def {signature}: return ...")
    values = limits.call_each(answer, cases)
    for case, value in zip(cases, values, strict=True):
        if not accepts(value):
            call = f"{signature.split('(')[0]}({', '.join(map(checks.shown, case))})"
            was = "nothing (is the return missing?)" if value is None else checks.shown(value)
            raise ValueError(f"Your {call} must be {returns}, not {was}.")
    return values


def is_number(value: object) -> TypeGuard[float]:
    """Whether it is a real number of Python or NumPy, infinity included."""
    return isinstance(value, Real) and not isinstance(value, bool) and not math.isnan(value)


def _same(value: Any, expected: Any, within: float, slack: float = 0.0) -> bool:
    if isinstance(expected, frozenset):  # several ways to say it
        return any(_same(value, one, within, slack) for one in expected)
    if not is_number(value) or not is_number(expected):
        return bool(value == expected)
    return math.isclose(value, expected, rel_tol=within, abs_tol=slack)

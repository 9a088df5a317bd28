"""Make judges, so that a lesson's exercise is data: what is right, and the mistakes that people make, each
with a sentence, a template of `str.format`. The verdict has the sentence of the first mistake that fits."""

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
    """Return a judge of a number in `unit`, called `name` in messages; `text` parses one that is written with
    its unit. `right` and the condition of each mistake are a value (met within a share of `within`), a range
    ``(low, high)``, or a predicate. A number that meets none of them and lies outside `allowed` is refused.
    Sentences may use {value} and the keys of `facts(value)`."""

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
    """Whether `value` meets `target`: a value (within a share of `within`), a range or a predicate."""
    if callable(target):
        return bool(target(value))
    if isinstance(target, tuple):
        return bool(target[0] <= value <= target[1])
    return bool(abs(value - target) <= within * abs(target))


def by_facts(
    facts: Callable[[Any], Any], *mistakes: Mistake, yes: str, score: tuple[str, str] | None = None
) -> Judge:
    """Return a judge of several values together: `facts(answer)` reads them and computes what the conditions
    and sentences use, as attributes of one object ({f.ridge}); ValueError where `answer` cannot be read.
    `score` names the attribute that is a challenge's score, and its unit."""

    def judge(answer: object) -> Verdict:
        f = facts(answer)
        if wrong := first_mistake(mistakes, f):
            return Verdict(False, wrong)
        return Verdict(True, yes.format(f=f), (getattr(f, score[0]), score[1]) if score else None)

    return judge


def read_dict(answer: object, **most: int | None) -> SimpleNamespace:
    """The values of the dict `answer`, whose keys are those of `most`: whole numbers from 1 to the maximum
    there, or anything where that is None; ValueError where it is no such dict."""
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
    """Return a judge of a dict that names one of `options` for each key of `right`; case and blanks do not
    count. `what` is the word for an option in messages, and `same` maps other wordings to options.
    ``evidence(key, option)`` says what speaks against a wrong one."""
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
    """Return a judge that asks `judges` in order, and gives the verdict of the first that does not pass."""

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
    """Return a judge of a function, called on `cases()` in a process with limits and compared with the
    formula `right`: off by a share of at most `within`, or by at most `slack`. See `call_on_cases`.

    The condition of a mistake is another formula, which gives the same as the answer on all cases. Its
    sentence follows `shown`. Both may use {0}, {1}, ..., the values returned, and {first}, which is
    ``otherwise(value, *case)`` of the first wrong value and the message where no mistake fits. `yes` may use
    {right}, the list of right values. `stopped` rewords the message about an answer that gave no values."""

    def judge(answer: object) -> Verdict:
        calls = cases()
        try:
            given = call_on_cases(signature, returns, answer, calls, accepts or is_number)
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


def call_on_cases(
    signature: str, returns: str, answer: object, cases: Sequence[tuple], accepts: Callable[[object], bool]
) -> list[Any]:
    """What the function `answer` returns on `cases`; ValueError where `accepts` refuses one of these values.
    `signature` and `returns` describe the function and its values in messages."""
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
    """Whether `value` is a real number of Python or NumPy; infinity is one, NaN and a truth value are not."""
    return isinstance(value, Real) and not isinstance(value, bool) and not math.isnan(value)


def _same(value: Any, expected: Any, within: float, slack: float = 0.0) -> bool:
    if isinstance(expected, frozenset):  # several ways to say it
        return any(_same(value, one, within, slack) for one in expected)
    if not is_number(value) or not is_number(expected):
        return bool(value == expected)
    return math.isclose(value, expected, rel_tol=within, abs_tol=slack)

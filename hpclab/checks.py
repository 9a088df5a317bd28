"""Checks of input. Each returns the value, or raises a ValueError of a sentence that begins with `name`, the
value's name for the reader, and says what is allowed, in `unit` where it has one, and what was given."""

import dataclasses
import math
import os
import pwd
import re
import socket
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any


def number(name: str, value: object, low: float, high: float, unit: str = "") -> float:
    """Return `value` as a float between `low` and `high`, both included, or raise ValueError."""
    return _within(name, value, low, high, unit, whole=False)


def integer(name: str, value: object, low: int, high: int, unit: str = "") -> int:
    """Return `value` as an int between `low` and `high`, both included, or raise ValueError."""
    return int(_within(name, value, low, high, unit, whole=True))


def _within(name: str, value: object, low: float, high: float, unit: str, whole: bool) -> float:
    try:  # a truth value, NumPy's too, and text are no numbers, although float() takes them
        other = isinstance(value, str | bytes) or type(value).__name__ in ("bool", "bool_")
        found = math.nan if other else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        found = math.nan
    if low <= found <= high and not (whole and found % 1):
        return found
    allowed = f"whole number from {low} to {high}" if whole else f"number from {low:g} to {high:g}"
    raise ValueError(f"{name} must be a {allowed}{f' {unit}' * bool(unit)}, not {shown(value)}.")


def integers(name: str, values: object, low: int, high: int, unit: str = "") -> tuple[int, ...]:
    """Return `values` as a tuple of ints, each a `name` between `low` and `high`, or raise ValueError."""
    return tuple(integer(f"Each {name}", value, low, high, unit) for value in _listed(name, values))


def numbers(name: str, values: object, low: float, high: float, unit: str = "") -> tuple[float, ...]:
    """Return `values` as a tuple of floats, each a `name` between `low` and `high`, or raise ValueError."""
    return tuple(number(f"Each {name}", value, low, high, unit) for value in _listed(name, values))


def _listed(name: str, values: object) -> Iterable[object]:
    if not isinstance(values, Iterable) or isinstance(values, str | bytes):
        raise ValueError(f"Each {name} must be in a list of numbers, not {shown(values)}.")
    return values


def choice(name: str, value: object, allowed: Iterable[str]) -> str:
    """Return `value` if it is one of `allowed`, or raise ValueError naming all of them."""
    options = list(allowed)
    if not isinstance(value, str) or value not in options:
        raise ValueError(f"{name} must be one of {', '.join(options)}, not {shown(value)}.")
    return value


def choices(name: str, values: object, allowed: Iterable[str]) -> tuple[str, ...]:
    """Return `values` as a tuple if each of them is one of `allowed`, or raise ValueError."""
    listed = instances(name, values, str, "a name")
    return tuple(choice(f"Each of {name}", value, allowed) for value in listed)


def identifier(name: str, value: object, longest: int = 64) -> str:
    """Return `value`, a job name, partition or account, if it has at most `longest` characters and cannot
    become a directive or a command in a batch script, or raise ValueError."""
    word: str = instance(name, value, str, "text, in quotes")
    if not re.fullmatch(rf"[A-Za-z0-9._+=@:,-]{{1,{longest}}}", word):
        raise ValueError(
            f"{name} must be 1 to {longest} letters, digits or any of . _ - + = @ : , not {shown(value)}."
        )
    if word.startswith("-"):
        raise ValueError(
            f"{name} must not begin with a dash, or it would be read as an option: {shown(value)}."
        )
    return word


def instance(name: str, value: object, of: Any, called: str = "") -> Any:
    """Return `value` if it is an `of` (a class, or a union of them), or raise ValueError; `called` is the
    name of this type in the message, such as "text, in quotes"."""
    if not isinstance(value, of):
        raise ValueError(f"{name} must be {called or f'a {of.__name__}'}, not {shown(value)}.")
    return value


def instances(name: str, values: object, of: Any, called: str = "") -> list[Any]:
    """Return `values` as a list if each is an `of`, or raise ValueError showing one that is not."""
    listed = list(values) if isinstance(values, Iterable) else None
    wrong = [values] if listed is None else [value for value in listed if not isinstance(value, of)]
    if listed is None or wrong:
        allowed = f"{name} must be a list, each of it {called or f'a {of.__name__}'}"
        raise ValueError(f"{allowed}, not {shown(wrong[0])}.")
    return listed


def field(check: Callable[..., Any], default: Any = dataclasses.MISSING, table: str = "", **more: Any) -> Any:
    """A dataclass field; its metadata hold ``check(name, value, **more)``, and its `table` in a TOML file."""
    metadata = {"table": table, "check": partial(check, **more)}
    return dataclasses.field(default=default, metadata=metadata)


def shown(value: object) -> str:
    """`value` as Python writes it, in at most some 60 characters."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:40]}… ({len(text)} characters)"


def slurm_obstacle() -> str:
    """Why Slurm's daemons would not start for this user on this machine, and what to do; "" where they would.

    They want a passwd entry of the user, its primary group, and a short enough host name.
    """
    uid, gid, host = os.getuid(), os.getegid(), socket.gethostname()
    try:
        own = pwd.getpwuid(uid).pw_gid
    except KeyError:
        return (
            f"Slurm starts only for a user with a name, and uid {uid} has none here: start the container as "
            "a user that its image knows, or have its administrator add one with this uid to /etc/passwd."
        )
    if uid and own != gid:
        return (
            f"Slurm starts only in its user's own group, which is gid {own}, and this runs in gid {gid}: "
            f"start again without newgrp or sg, or the container with --user {uid}:{own}."
        )
    if len(host) > 63:
        return (
            f"Slurm knows names of machines of 63 characters at most, and this one's has {len(host)}: {host}."
        )
    return ""

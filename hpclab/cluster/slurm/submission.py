"""What may be handed to sbatch, and what its refusal means: the limit that was broken."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from itertools import zip_longest

from hpclab import checks, units

_NAMED = {"--job-name": "job name", "-J": "job name", "--partition": "partition", "-p": "partition",
          "--account": "account", "-A": "account", "--qos": "qos", "-q": "qos"}  # fmt: skip
_BROKE_A_LIMIT = (
    "requested",
    "Requested",
    "Memory",
    "Node count",
    "generic resource",
    "partition",
    "exceeds",
)
LIMITS_FORMAT = "%R|%l|%D|%c|%m|%G"


def check(options: Sequence[str]) -> None:
    """ValueError for an option that could become more than one option, directive or word."""
    for option, following in zip_longest(options, options[1:], fillvalue=""):
        _refuse(option, following)


def text_of(script: object) -> str | None:
    """The text of a batch script that was handed over as such; None for a path."""
    if not isinstance(script, str | os.PathLike):
        raise ValueError(
            f"A batch script is a path, or text that begins with #!, not {checks.shown(script)}."
        )
    if "\0" in str(script):
        raise ValueError("A batch script is text; this one holds a NUL character.")
    return script if isinstance(script, str) and script.startswith("#!") else None


def explained(refusal: str, limits: str) -> str:
    """Slurm's own sentence, and where a limit was broken what the partitions allow (sinfo, LIMITS_FORMAT)."""
    if not any(word in refusal for word in _BROKE_A_LIMIT):
        return refusal
    allowed = "; ".join(_partitions(limits.splitlines()))
    return f"{refusal}. Partitions here: {allowed}." if allowed else refusal


def _partitions(lines: Iterable[str]) -> Iterable[str]:
    for line in lines:
        name, time, nodes, cores, memory, gres = (word.strip() for word in line.split("|"))
        size = units.format_bytes(int(memory.rstrip("+")) * 2**20)
        gpus = "" if gres == "(null)" else f", {gres}"
        yield f"{name} has {nodes} node(s) of {cores} core(s), {size}{gpus}, for at most {time}"


def _refuse(option: str, following: str) -> None:
    if not isinstance(option, str) or len(option) > 4096 or re.search(r"[\x00-\x1f\x7f]", option):
        raise ValueError(
            f"An option for sbatch is a line of at most 4096 characters without control characters, not "
            f"{str(option)[:40]!r}."
        )
    word, _, value = option.partition("=")
    if word in _NAMED:
        checks.identifier(f"The {_NAMED[word]}", value if "=" in option else following)
    elif word[:2] in _NAMED and not word.startswith("--") and len(word) > 2:
        checks.identifier(f"The {_NAMED[word[:2]]}", option[2:])

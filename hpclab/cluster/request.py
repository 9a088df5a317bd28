"""Checks what a pool is asked for before anything starts, and makes the #SBATCH lines of its job, each once.

Of an option that is given twice sbatch takes the last; it refuses --mem beside --mem-per-cpu.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any

from hpclab import checks, units

MOST_NODES = 4096
# Where nodes come from, in the order in which "auto" tries them: its name, and the Backend for it.
BACKENDS = {
    "slurm": "hpclab.cluster.backends.slurm:SlurmNodes", "local": "hpclab.cluster.backends.local:LocalNodes",
}  # fmt: skip
LEAST_MEMORY = 128 * 2**20  # bytes; a worker has 67 MiB before its first task, and takes none above 80 %
_SHORT = {
    "A": "account", "a": "array", "c": "cpus-per-task", "e": "error", "i": "input", "J": "job-name",
    "N": "nodes", "n": "ntasks", "o": "output", "p": "partition", "t": "time", "W": "wait",
}  # fmt: skip
_SAID = {"partition": "-p ", "account": "-A ", "time": "-t ", "mem": "--mem="}  # in the pool's own lines
_ONE = ("nodes", "ntasks", "ntasks-per-node")  # a node's job is one task on one node
_OWN = (*_ONE, "job-name", "output", "error", "input", "requeue", "no-requeue", "cpus-per-task")
_NEVER = ("array", "wait", "wrap", "parsable", "test-only", "help", "usage", "version")
_ALL = {*_SAID, "mem-per-cpu", "mem-per-gpu", *_OWN, *_NEVER}


def bytes_of(name: str, memory: object) -> int:
    """Return `memory`, a number of bytes or text with a unit, in bytes; ValueError names argument `name`."""
    memory = _read(name, units.parse_bytes, memory)
    try:
        return checks.integer(name, memory, LEAST_MEMORY, 2**50)
    except ValueError:
        raise ValueError(
            f"{name} must be from 128 MiB to 1 PiB: a number of bytes, or text with a unit such as 4 GiB, "
            f"not {checks.shown(memory)}."
        ) from None


def time_limit(name: str, value: object) -> float:
    """Return a walltime, a number of seconds or text with a unit, in seconds; ValueError names `name`."""
    if isinstance(value, str) and re.fullmatch(r"\s*\d+(\.\d+)?\s*", value):
        number = value.strip()
        raise ValueError(
            f"{name} needs a unit, as sbatch would read {number} as minutes: write {number} s, {number} min "
            "or hh:mm:ss."
        )
    return seconds(name, value, 60.0, 3.2e7)


def seconds(name: str, value: object, low: float = 1.0, high: float = 7 * 86400.0) -> float:
    """Return `value`, seconds or text, in seconds from `low` to `high`; ValueError names `name`."""
    return checks.number(name, _read(name, units.parse_seconds, value), low, high, "seconds")


def _read(name: str, parse: Callable[[str], float], value: object) -> object:
    """Parse `value` if it is text; a ValueError names the argument `name`."""
    try:
        return parse(value) if isinstance(value, str) else value
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def directives(name: str, texts: object) -> tuple[str, ...]:
    """Return the sbatch options in `texts`, each by itself. ValueError for a newline, quote, `$`, `;` or the
    like, which could make one option more, and for options that a node's job cannot have."""
    if isinstance(texts, str) or not isinstance(texts, Iterable):
        raise ValueError(f"{name} must be a list of texts such as '--qos=debug', not {checks.shown(texts)}.")
    allowed, found = r"--?[A-Za-z][A-Za-z0-9 ._+=@:,/*\[\]()|&-]{0,199}", list[str]()
    for text in texts:
        if not isinstance(text, str) or not re.fullmatch(allowed, text):
            raise ValueError(
                f"{name}: a directive must be one sbatch option of at most 200 characters in quotes, such as "
                f'"--qos=debug", without quotes or line breaks in it, not {checks.shown(text)}.'
            )
        found += re.split(r"\s+(?=-)", text)
    for each in found:
        if option(each) in _NEVER or (option(each) in _ONE and not re.search(r"\D1$", each)):
            raise ValueError(
                f"{name}: {each} cannot be a directive here, as a node of a pool is one job with one task; "
                "how many there are Pool(nodes=...) says."
            )
    return tuple(found)


def option(text: str, family: bool = True) -> str:
    """Long name of a directive's option, "time" for ``-t 60``; with `family` "mem" for --mem-per-cpu, too."""
    short = not text.startswith("--")
    name = _SHORT.get(text[1], text[1]) if short else re.split(r"[= ]", text[2:])[0]
    whole = [known for known in _ALL if known.startswith(name)]  # sbatch takes the beginning of a name too
    name = whole[0] if len(whole) == 1 and not short else name
    return "mem" if family and name.startswith("mem-per-") else name


def replaced(lines: Iterable[str]) -> list[str]:
    """Prefixes of those own #SBATCH lines of the pool that these directives replace: ``"#SBATCH -t "``."""
    options = {option(each) for each in lines}
    return [f"#SBATCH {line}" for name, line in _SAID.items() if name in options]


def value_of(lines: Sequence[str], name: str) -> str:
    """The value that the last of these directives gives the option `name`, or "" where none does."""
    said = [re.sub(r"^(--[\w-]+|-\w)[= ]?", "", each) for each in lines if option(each) == name]
    return said[-1] if said else ""


def sbatch_size(text: str) -> int:
    """Bytes in a size as sbatch reads it ("4G", "4096" in MiB); 0 for no size, and for "0", a whole node."""
    match = re.fullmatch(r"(\d+)([KMGT]?)B?", text.strip().upper())
    return int(match[1]) * 1024 ** (" KMGT".index(match[2] or "M")) if match else 0


@dataclass(frozen=True)
class Request:
    """A valid request: `memory` in bytes per node, `walltime` and `join_timeout` in seconds.

    None leaves `memory` and `walltime` to the site's jobqueue.yaml, or to this machine.
    """

    nodes: int = checks.field(checks.integer, low=0, high=MOST_NODES)
    backend: str = checks.field(checks.choice, allowed=("auto", *BACKENDS))
    cores_per_node: int = checks.field(checks.integer, low=1, high=1024)
    gpus_per_node: int = checks.field(checks.integer, low=0, high=64)
    memory: int | None = checks.field(bytes_of)
    partition: str | None = checks.field(checks.identifier)
    account: str | None = checks.field(checks.identifier)
    walltime: float | None = checks.field(time_limit)
    join_timeout: float = checks.field(seconds)
    allocation: str = checks.field(checks.choice, allowed=("jobs", "single"))
    extra_directives: tuple[str, ...] = checks.field(directives)

    @classmethod
    def checked(cls, *asked: object) -> Request:
        """Make a Request of Pool's arguments, in their order; ValueError says which is wrong, and why."""
        values: dict[str, Any] = {}
        for part, value in zip(fields(cls), asked, strict=True):
            left_out = value is None and "None" in str(part.type)
            values[part.name] = None if left_out else part.metadata["check"](part.name, value)
        request = cls(**values)
        for each in request.extra_directives:
            if option(each) in {*request._said(), *_OWN}:
                raise ValueError(
                    f"extra_directives: {each} is said by the pool itself; leave it out, or Pool's own "
                    "argument."
                )
        if request.backend == "local":
            request.refuse_slurm_arguments()
        return request

    def refuse_slurm_arguments(self) -> None:
        """Raise ValueError if an argument is set that only a Slurm job can have, for the local backend."""
        for name in ("partition", "account", "gpus_per_node", "extra_directives"):
            if getattr(self, name):
                raise ValueError(f'{name} is for Slurm; leave it out with the backend "local".')
        if self.allocation == "single":
            raise ValueError('allocation="single" is one Slurm job; the backend "local" has none.')

    def directives(self, site: Sequence[str]) -> list[str]:
        """Directives beside the pool's own lines: `site`'s that no argument sets, then `extra_directives`."""
        asked = self._said() | {option(each) for each in self.extra_directives if option(each) in _SAID}
        kept = [each for each in site if option(each) not in {*asked, *_OWN}]
        if self.memory is not None:  # the site's way of asking for it, with the pool's number
            mebibytes = self.memory // 2**20
            kept = [
                f"--{option(each, family=False)}={-(-mebibytes // self._shares(each))}M"
                if option(each) == "mem" else each for each in kept
            ]  # fmt: skip
        return [*kept, *self.extra_directives]

    def memory_in(self, lines: Iterable[str]) -> int:
        """Bytes of memory per node that these directives ask for, or 0 where none does."""
        said = [each for each in lines if option(each) == "mem"]
        return sbatch_size(value_of(said, "mem")) * self._shares(said[-1]) if said else 0

    def _said(self) -> set[str]:
        """Names of the options that arguments of Pool(...) set."""
        said = {"partition": self.partition, "account": self.account, "time": self.walltime}
        return {name for name, value in said.items() if value is not None}

    def _shares(self, line: str) -> int:
        """How many times a node gets the size in a memory directive: per core, per GPU, or once."""
        counts = {"mem-per-cpu": self.cores_per_node, "mem-per-gpu": max(1, self.gpus_per_node)}
        return counts.get(option(line, family=False), 1)

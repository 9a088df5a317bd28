"""What a pool is asked for, checked before anything starts, and the #SBATCH lines of its job, each said once.

Of an option that is said twice sbatch takes the last; --mem beside --mem-per-cpu it refuses.
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
_SAID = {"partition": "-p ", "account": "-A ", "time": "-t ", "mem": "--mem="}  # as the pool's job says them
_ONE = ("nodes", "ntasks", "ntasks-per-node")  # a node's job is one task on one node
_OWN = (*_ONE, "job-name", "output", "error", "input", "requeue", "no-requeue", "cpus-per-task")
_NEVER = ("array", "wait", "wrap", "parsable", "test-only", "help", "usage", "version")
_ALL = {*_SAID, "mem-per-cpu", "mem-per-gpu", *_OWN, *_NEVER}


def bytes_of(name: str, memory: object) -> int:
    """Bytes of memory of a node, from a number of them or text with a unit, or ValueError."""
    memory = _read(name, units.parse_bytes, memory)
    try:
        return checks.integer(name, memory, LEAST_MEMORY, 2**50)
    except ValueError:
        raise ValueError(
            f"{name} must be from 128 MiB to 1 PiB: a number of bytes, or text with a unit such as 4 GiB, "
            f"not {checks.shown(memory)}."
        ) from None


def time_limit(name: str, value: object) -> float:
    """Seconds of a job's time limit, from a number of them or text, or ValueError."""
    if isinstance(value, str) and re.fullmatch(r"\s*\d+(\.\d+)?\s*", value):
        number = value.strip()
        raise ValueError(
            f"{name} needs a unit, as sbatch would read {number} as minutes: write {number} s, {number} min "
            "or hh:mm:ss."
        )
    return seconds(name, value, 60.0, 3.2e7)


def seconds(name: str, value: object, low: float = 1.0, high: float = 7 * 86400.0) -> float:
    """Seconds between `low` and `high`, from a number of them or text, or ValueError."""
    return checks.number(name, _read(name, units.parse_seconds, value), low, high, "seconds")


def _read(name: str, parse: Callable[[str], float], value: object) -> object:
    try:
        return parse(value) if isinstance(value, str) else value
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def directives(name: str, texts: object) -> tuple[str, ...]:
    """``#SBATCH`` options, each by itself; no newline, quote, `$`, `;` or the like, so that it stays one."""
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
    """The long name of a directive's option; with `family` "mem" also for --mem-per-cpu and --mem-per-gpu."""
    short = not text.startswith("--")
    name = _SHORT.get(text[1], text[1]) if short else re.split(r"[= ]", text[2:])[0]
    whole = [known for known in _ALL if known.startswith(name)]  # sbatch takes the beginning of a name too
    name = whole[0] if len(whole) == 1 and not short else name
    return "mem" if family and name.startswith("mem-per-") else name


def replaced(lines: Iterable[str]) -> list[str]:
    """The beginnings of the pool's own lines that these directives take the place of."""
    options = {option(each) for each in lines}
    return [f"#SBATCH {line}" for name, line in _SAID.items() if name in options]


def value_of(lines: Sequence[str], name: str) -> str:
    """What the last of these directives says of an option, or nothing."""
    said = [re.sub(r"^(--[\w-]+|-\w)[= ]?", "", each) for each in lines if option(each) == name]
    return said[-1] if said else ""


def sbatch_size(text: str) -> int:
    """Bytes in a size as sbatch reads it ("4G", "4096" in MiB), or 0 where it is none, or all of a node."""
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
        """From Pool's arguments in their order; ValueError says which of them cannot be and what could."""
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
            request.refuse_slurm_words()
        return request

    def refuse_slurm_words(self) -> None:
        """What only Slurm can give is refused where there are only this machine's processes."""
        for name in ("partition", "account", "gpus_per_node", "extra_directives"):
            if getattr(self, name):
                raise ValueError(f'{name} is for Slurm; leave it out with the backend "local".')
        if self.allocation == "single":
            raise ValueError('allocation="single" is one Slurm job; the backend "local" has none.')

    def directives(self, site: Sequence[str]) -> list[str]:
        """What a job asks for beside the pool's own lines: of the site's, what Pool(...) leaves to it."""
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
        """Bytes a node that these directives ask for, or 0 where they do not say."""
        said = [each for each in lines if option(each) == "mem"]
        return sbatch_size(value_of(said, "mem")) * self._shares(said[-1]) if said else 0

    def _said(self) -> set[str]:
        """The options that arguments of Pool(...) say."""
        said = {"partition": self.partition, "account": self.account, "time": self.walltime}
        return {name for name, value in said.items() if value is not None}

    def _shares(self, line: str) -> int:
        counts = {"mem-per-cpu": self.cores_per_node, "mem-per-gpu": max(1, self.gpus_per_node)}
        return counts.get(option(line, family=False), 1)

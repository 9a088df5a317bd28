"""What a pool is asked for, checked before anything is started or any batch script exists."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from hpclab import checks, units
from hpclab.cluster import directives

MOST_NODES = 4096
# Where nodes come from, in the order in which "auto" tries them: its name, and the Backend for it.
BACKENDS = {
    "slurm": "hpclab.cluster.backends.slurm:SlurmNodes", "local": "hpclab.cluster.backends.local:LocalNodes",
}  # fmt: skip
LEAST_MEMORY = 128 * 2**20  # bytes; a worker has 67 MiB before its first task, and takes none above 80 %


def bytes_of(name: str, memory: object) -> int:
    """Bytes of memory of a node, from a number of them or text with a unit, or ValueError."""
    if isinstance(memory, str):
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
    if isinstance(value, str):
        value = _read(name, units.parse_seconds, value)
    return checks.number(name, value, low, high, "seconds")


def _read(name: str, parse: Callable[[str], float], text: str) -> float:
    try:
        return parse(text)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


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
    extra_directives: tuple[str, ...] = checks.field(directives.checked)

    @classmethod
    def checked(cls, *asked: object) -> Request:
        """From Pool's arguments in their order; ValueError says which of them cannot be and what could."""
        values: dict[str, Any] = {}
        for part, value in zip(fields(cls), asked, strict=True):
            left_out = value is None and "None" in str(part.type)
            values[part.name] = None if left_out else part.metadata["check"](part.name, value)
        request = cls(**values)
        directives.refuse_twice(request)
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

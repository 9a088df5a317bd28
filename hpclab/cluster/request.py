"""What a pool is asked for, checked before anything is started or any batch script exists."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from hpclab import checks, units

MOST_NODES = 4096


@dataclass(frozen=True, slots=True)
class Request:
    """A valid request: `memory` in bytes per node, `walltime` and `join_timeout` in seconds.

    None leaves `memory` and `walltime` to the site's jobqueue.yaml, or to this machine.
    """

    nodes: int
    backend: str
    cores_per_node: int
    gpus_per_node: int
    memory: int | None
    partition: str | None
    account: str | None
    walltime: float | None
    join_timeout: float
    allocation: str
    extra_directives: tuple[str, ...]

    @classmethod
    def checked(
        cls, nodes: object, backend: object, cores_per_node: object, gpus_per_node: object, memory: object,
        partition: object, account: object, walltime: object, join_timeout: object, allocation: object,
        extra_directives: Iterable[str],
    ) -> Request:  # fmt: skip
        """The request, or ValueError saying which part of it cannot be and what could."""
        request = cls(
            nodes=node_count(nodes, least=0),
            backend=checks.choice("backend", backend, ("auto", "slurm", "local")),
            cores_per_node=checks.integer("cores_per_node", cores_per_node, 1, 1024),
            gpus_per_node=checks.integer("gpus_per_node", gpus_per_node, 0, 64),
            memory=None if memory is None else _memory(memory),
            partition=None if partition is None else checks.identifier("partition", partition),
            account=None if account is None else checks.identifier("account", account),
            walltime=None if walltime is None else _seconds("walltime", walltime, 60.0, 3.2e7),
            join_timeout=_seconds("join_timeout", join_timeout, 1.0, 7 * 86400.0),
            allocation=checks.choice("allocation", allocation, ("jobs", "single")),
            extra_directives=tuple(directive(each) for each in _several(extra_directives)),
        )
        if request.backend == "local":
            request.refuse_slurm_words()
        return request

    def refuse_slurm_words(self) -> None:
        """What only Slurm can give is refused where there are only this machine's processes."""
        asked = {
            "partition": self.partition, "account": self.account, "gpus_per_node": self.gpus_per_node,
            "extra_directives": self.extra_directives,
        }  # fmt: skip
        for name, value in asked.items():
            if value:
                raise ValueError(f'{name} is for Slurm; leave it out with the backend "local".')
        if self.allocation == "single":
            raise ValueError('allocation="single" is one Slurm job; the backend "local" has none.')


def node_count(nodes: object, least: int = 1) -> int:
    """A number of nodes, or ValueError."""
    return checks.integer("nodes", nodes, least, MOST_NODES)


def _memory(memory: object) -> int:
    if isinstance(memory, str):
        memory = units.parse_bytes(memory)
    return checks.integer("memory", memory, 64 * 2**20, 2**50, "bytes")


def _seconds(name: str, value: object, low: float, high: float) -> float:
    if isinstance(value, str):
        value = units.parse_seconds(value)
    return checks.number(name, value, low, high, "seconds")


def _several(directives: object) -> list[object]:
    if isinstance(directives, str) or not isinstance(directives, Iterable):
        raise ValueError(
            f"extra_directives must be a list of texts such as '--qos=debug', not {directives!r}."
        )
    return list(directives)


def directive(text: object) -> str:
    """One ``#SBATCH`` option: no newline, quote, `$`, `;` or the like, so that it stays one option."""
    if not isinstance(text, str) or not re.fullmatch(
        r"--?[A-Za-z][A-Za-z0-9 ._+=@:,/*\[\]()|&-]{0,199}", text
    ):
        raise ValueError(
            "An extra directive must be one sbatch option of at most 200 characters such as --qos=debug or "
            f"--constraint=a100, without quotes or line breaks, not {str(text)[:40]!r}."
        )
    return text

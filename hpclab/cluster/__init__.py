"""Where code runs: this machine's processes or Slurm, through one contract, `Pool`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hpclab.cluster.pool import Pool as Pool

__all__ = ["Pool"]


def __getattr__(name: str) -> object:
    if name == "Pool":
        from hpclab.cluster.pool import Pool

        return Pool
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""Where code runs: this machine's processes or Slurm, through one contract, `Pool`."""

from __future__ import annotations

from hpclab.cluster.pool import Pool

__all__ = ["Pool"]

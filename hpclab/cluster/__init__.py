"""Where code runs: this machine's processes or Slurm, through one contract, `Pool`."""

from hpclab.cluster.pool import Pool

__all__ = ["Pool"]

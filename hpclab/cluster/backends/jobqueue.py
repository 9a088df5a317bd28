"""dask-jobqueue, imported without what its import does to the program.

Its runner module takes SIGINT for itself when it is imported (dask-jobqueue 0.9.0): from then on an interrupt
would end the whole program instead of what runs, and in a thread, where Python lets nobody touch signals, the
import fails. So the import happens here, and signals stay as they were.
"""

from __future__ import annotations

import signal

_set, signal.signal = signal.signal, lambda *_: None
try:
    import dask_jobqueue
    from dask_jobqueue import SLURMCluster
    from dask_jobqueue.slurm import SLURMJob
finally:
    signal.signal = _set

DEFAULTS = dask_jobqueue.__path__[0] + "/jobqueue.yaml"
__all__ = ["DEFAULTS", "SLURMCluster", "SLURMJob"]

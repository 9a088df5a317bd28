"""Loaded by every worker as it starts (``dask worker --preload``).

The worker then ends with the process that started it, as a cancelled job's batch shell may die first. It
serves no pages, which would show logs and tasks to every user of the machine. It leaves its core to the task:
with Dask's own settings an idle worker takes 4 % of it, most of it for the profiler.
"""

import os
import signal
import sys
from typing import Any

from hpclab import search_path
from hpclab.cluster import roster, watch
from hpclab.cluster.gang.relay import Relay
from hpclab.cluster.host import processes
from hpclab.cluster.maps import tasks


async def dask_setup(worker: Any) -> None:
    """Dask calls this when the worker starts, before it joins."""
    processes.die_with_parent(os.getppid())
    watch.use_monotonic_clock()
    worker.services.pop("dashboard").stop()  # it was opened in this turn of the event loop: nobody got in
    worker.startup_information["hpclab"] = lambda _: roster.introduction()
    await worker.plugin_add(Relay())
    if callable(handler := signal.getsignal(signal.SIGTERM)):  # Dask's, which closes the worker
        tasks.freeze_started_item(signal.SIGTERM, handler)
    search_path.look_here_last()
    for name in ("profile", "profile-cycle"):
        if callback := worker.periodic_callbacks.pop(name, None):
            callback.stop()
    worker.periodic_callbacks["tick"].callback_time = 500  # ms; whether the event loop keeps up
    # The event loop shares the interpreter with the task. At Python's 5 ms it waits that long for each of the
    # several turns in which it reports a value and reads the next task.
    sys.setswitchinterval(0.0005)

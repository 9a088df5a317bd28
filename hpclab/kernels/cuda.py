"""`numba.cuda` for kernel modules: the real one where a GPU can be used, else Numba's simulator.

    from hpclab.kernels.cuda import cuda

`NUMBA_ENABLE_CUDASIM` set to 1 or 0 beforehand decides instead. A kernel must see `cuda` among its module's
globals, as in the line above: the simulator looks for it nowhere else.
"""

import os
import sys
from collections.abc import Callable
from types import ModuleType

from hpclab.kernels import warp_simulator
from hpclab.machine import gpu_preflight

_SETTING = "NUMBA_ENABLE_CUDASIM"


def _load() -> tuple[ModuleType, str]:
    """Import `numba.cuda`, real or simulated; return it and the name of what kernels run on. ImportError if
    it is too late for the simulator."""
    facts = gpu_preflight.gather()
    asked = os.environ.get(_SETTING, "")
    wanted = asked != "0" if asked else not gpu_preflight.usable(facts)
    loaded = sys.modules.get("numba.cuda")
    if wanted and loaded is not None and not _simulates(loaded):
        raise ImportError(
            "numba.cuda was imported before hpclab.kernels, and without a GPU: restart the kernel and run "
            "the first cell first, so that the simulator can be turned on."
        )
    if wanted and loaded is None:
        os.environ[_SETTING] = "1"
        if "numba" in sys.modules:  # it has read its settings already
            sys.modules["numba"].config.reload_config()
    from numba import cuda

    if not _simulates(cuda):
        return cuda, facts.driver.name or "a GPU"
    from numba.cuda.simulator.kernelapi import FakeCUDAModule

    warp_simulator.add_instructions(FakeCUDAModule)
    return cuda, "the CUDA simulator"


def _simulates(module: ModuleType) -> bool:
    return ".simulator" in module.jit.__module__


cuda, RUNS_ON = _load()
simulated: bool = _simulates(cuda)


def seconds(work: Callable[[], object], *, repeats: int = 20, calls: int = 5, warmup: int = 3) -> list[float]:
    """Seconds that a call of `work()` takes on the GPU, by CUDA events: one mean for each of `repeats`.

    Each repeat queues `calls` calls, so that launches overlap with kernels that run; `warmup` calls come
    before, untimed. `work` must copy nothing between the host and the GPU. RuntimeError in the simulator.
    """
    if simulated:
        raise RuntimeError(
            "Kernels run in the CUDA simulator here, whose time says nothing about a GPU's: there is no "
            "speed to measure. Use a recorded or a modelled one."
        )
    for _ in range(warmup):
        work()
    cuda.synchronize()
    spent = []
    for _ in range(repeats):
        begin, end = cuda.event(), cuda.event()
        begin.record()
        for _ in range(calls):
            work()
        end.record()
        end.synchronize()
        spent.append(cuda.event_elapsed_time(begin, end) / 1e3 / calls)
    return spent

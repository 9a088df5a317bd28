"""One step as torch.profiler saw it: operators, messages and waits of this rank, as Events. Profiling itself
takes time: shares are worth more than seconds.
"""

import os
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
import torch.distributed as dist
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from hpclab.trace import Event

PARTS = ("compute", "hidden communication", "exposed communication", "input wait", "idle")
_MESSAGES = ("gloo:", "nccl", "mpi:")


def profiled(step: Callable[[], object]) -> list[Event]:
    """Run `step()` under torch.profiler; its Events begin at 0, as those of this rank.

    Kinds: "compute" for operators (of kernels, where there is a GPU), "reduce" for messages, "input" for a
    DataLoader's wait. An operator that was called by another is part of it.
    """
    rank = dist.get_rank() if dist.is_initialized() else 0
    gpu = torch.cuda.is_available()
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # or it prints that it starts and stops
    with profile(activities=[ProfilerActivity.CPU, *[ProfilerActivity.CUDA] * gpu]) as seen:
        step()
    found = []
    for one in seen.events():
        on_gpu = one.device_type == DeviceType.CUDA
        kind = _kind(one.name, on_gpu)
        called = one.cpu_parent is not None and _kind(one.cpu_parent.name) != ""
        if kind and not called and (on_gpu or not (gpu and kind == "compute")):
            begin, length = one.time_range.start * 1e-6, one.time_range.elapsed_us() * 1e-6
            found.append(Event(rank, kind, begin, length, label=one.name))
    first = min((one.start for one in found), default=0.0)
    return [Event(rank, one.kind, one.start - first, one.duration, label=one.label) for one in found]


def _kind(name: str, on_gpu: bool = False) -> str:
    """An Event's kind, by the profiler's `name`; "" for annotations and for what only calls others."""
    if any(word in name for word in _MESSAGES):
        return "reduce"
    if "DataLoader" in name:
        return "input"
    return "compute" if on_gpu or name.startswith(("aten::", "autograd::")) else ""


def where(events: Sequence[Event]) -> dict[str, float]:
    """Seconds of each of PARTS from the first event of one rank to its last; they sum to that time.

    A message that travels while something is computed is hidden, and its time is the computing's: so hidden
    communication is part of what computed, and "compute" is the rest of that.
    """
    edges = sorted((at, change, one.kind) for one in events for at, change in ((one.start, 1), (one.end, -1)))
    active, seconds = Counter[str](), dict.fromkeys(PARTS, 0.0)
    for (at, change, kind), (until, *_) in pairwise(edges):
        active[kind] += change
        if active["compute"]:
            part = "hidden communication" if active["reduce"] else "compute"
        elif active["reduce"]:
            part = "exposed communication"
        else:
            part = "input wait" if active["input"] else "idle"
        seconds[part] += until - at
    return seconds

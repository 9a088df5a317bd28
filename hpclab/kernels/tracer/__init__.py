"""The tracer: a kernel's own source, executed lane by lane on a deterministic model of a GPU's memory system.

    trace = tracer.trace(kernel, grid, block, *args)
    trace.requests, trace.findings, trace.after["out"]

No GPU, no simulator, no change to the kernel. `lanes` is who executes, `interpreter` and `expressions` are
how, `memory` and `block` what they touch, `hazards` and `costs` what is wrong or dear with it.
"""

from hpclab.kernels.tracer.launch import trace
from hpclab.kernels.tracer.source import Unsupported

__all__ = ["Unsupported", "trace"]

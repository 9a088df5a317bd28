"""The tracer: a kernel's own source, executed lane by lane on a deterministic model of a GPU's memory system.

trace = tracer.trace(kernel, grid, block, *args)
trace.requests, trace.findings, trace.after["out"]
"""

from hpclab.kernels.tracer.launch import trace
from hpclab.kernels.tracer.source import Unsupported

__all__ = ["Unsupported", "trace"]

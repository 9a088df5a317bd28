"""Numba CUDA kernels, one idea a file, each a ladder from the reference to the improved; and the tracer."""

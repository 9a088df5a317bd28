"""All ladders, in the order they are taught: ``LADDERS["transpose"]`` is the tuple of its steps."""

from __future__ import annotations

from hpclab.kernels import histogram, matmul, reduction, softmax, stencil, transpose, vector_add
from hpclab.kernels.step import Problem, Step

__all__ = ["LADDERS", "Problem", "Step"]

LADDERS: dict[str, tuple[Step, ...]] = {
    module.PROBLEM.name: module.STEPS
    for module in (vector_add, transpose, reduction, histogram, stencil, softmax, matmul)
}

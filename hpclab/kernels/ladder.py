"""All ladders, in the order they are taught: ``LADDERS["transpose"]`` is the tuple of its steps."""

from hpclab.kernels import histogram, matmul, reduction, softmax, stencil, transpose, vector_add
from hpclab.kernels.step import Variant

LADDERS: dict[str, tuple[Variant, ...]] = {
    module.PROBLEM.name: module.STEPS
    for module in (vector_add, transpose, reduction, histogram, stencil, softmax, matmul)
}

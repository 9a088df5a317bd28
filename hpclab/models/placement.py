"""Which GPUs work together along each axis of a plan, and whether their links leave the node."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy
from numpy.typing import NDArray

from hpclab import checks
from hpclab.models.plan import Plan

# Megatron-LM's: what talks most lies closest, tensor in every layer, pipeline with single activations.
INNERMOST_FIRST = ("tensor", "context", "data", "pipeline")


@dataclass(frozen=True)
class Axis:
    """`groups` (groups, degree): the ranks that work together, in order. `crosses` (groups, degree - 1):
    whether the way from each of them to the next leaves the node."""

    groups: NDArray[numpy.int64]
    crosses: NDArray[numpy.bool_]


def placement(plan: Plan, node_gpus: int, order: Sequence[str] = INNERMOST_FIRST) -> dict[str, Axis]:
    """Each axis of `plan`, where ranks fill nodes of `node_gpus` GPUs one after the other: along the first
    of `order` neighbours are ranks r and r + 1. ValueError where `order` does not name each axis once."""
    checks.integer("node_gpus", node_gpus, 1, 4096)
    if sorted(order) != sorted(INNERMOST_FIRST):
        raise ValueError(
            f"order must name each of {', '.join(INNERMOST_FIRST)} once, not {checks.shown(order)}."
        )
    grid = numpy.arange(plan.gpus).reshape([getattr(plan, axis) for axis in reversed(order)])
    axes = {}
    for number, name in enumerate(order):
        groups = numpy.moveaxis(grid, -1 - number, -1).reshape(-1, getattr(plan, name))
        node = groups // node_gpus
        axes[name] = Axis(groups, node[:, 1:] != node[:, :-1])
    return axes

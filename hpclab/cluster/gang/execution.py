"""`Pool.run` from the pool's side: nodes complete and on one clock, then a gang on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from hpclab import checks
from hpclab.cluster import clocks
from hpclab.cluster.backends.command import refuse_lost_places
from hpclab.cluster.errors import PoolError
from hpclab.cluster.gang.gangs import Gangs
from hpclab.cluster.repairs import Repairs
from hpclab.cluster.request import MOST_NODES
from hpclab.cluster.watch import Look

if TYPE_CHECKING:
    from hpclab.cluster.nodes import Nodes
    from hpclab.trace import Trace


def run_gang(
    nodes: Nodes,
    function: Callable[..., Any],
    args: Sequence[Any],
    ranks: int | None,
    timeout: float,
    look: Look,
) -> tuple[list[Any], Trace]:
    """The function's values on the first `ranks` nodes, all of them if None; lost ones are replaced first."""
    Repairs(nodes, look).attend()
    have = len(nodes.roster.names)
    ranks = have if ranks is None else checks.integer("ranks", ranks, 1, MOST_NODES)
    if not 1 <= ranks <= have:
        raise PoolError(
            f"{ranks} ranks need as many nodes and the pool has {have}: call "
            f"pool.scale({max(1, ranks)}) first."
        )
    refuse_lost_places(nodes.backend.directory)  # an agent starts where its worker does
    nodes.wait_for_all(None, look)
    clocks.compare(nodes.roster, nodes.loop, look)
    if nodes.gangs is None:
        nodes.gangs = Gangs(nodes.roster, nodes.loop, nodes.backend, nodes.request)
    return nodes.gangs.run(function, args, ranks, timeout, look)

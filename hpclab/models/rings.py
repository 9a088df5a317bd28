"""How many rings NVLinks form through some GPUs of a node: as NCCL searches for them, counted exactly.

NCCL lays as many rings through a node's GPUs as its NVLinks carry at once, each link one each way (its
`src/graph/search.cc`). Where the GPUs form no ring, it lets a GPU pass on for another what that has no link
for (paths.cc, PATH_NVB): five of a DGX-1 are such a case, because GPU 4 knows only one of the others.
"""

from collections.abc import Iterator
from functools import cache
from itertools import chain, pairwise, permutations, product

Wires = tuple[tuple[int, ...], ...]
"""NVLinks from each GPU of a node to each other."""
_Hop = tuple[int, int]


@cache
def count(wires: Wires, gpus: int) -> tuple[int, bool]:
    """How many rings pass through the first `gpus` at once, and whether one of their GPUs passes on."""
    free = {(a, b): wires[a][b] for a in range(gpus) for b in range(gpus) if wires[a][b]}
    for relayed in (False, True):
        found = _packed(list(dict.fromkeys(_walks(free, gpus, relayed))), dict(free), gpus)
        if found:
            return found, relayed
    return 0, False


def _walks(free: dict[_Hop, int], gpus: int, relayed: bool) -> Iterator[tuple[_Hop, ...]]:
    """The links of each ring from GPU 0 through all of `gpus`; `relayed`: also over a third GPU."""

    def ways(a: int, b: int) -> list[tuple[_Hop, ...]]:
        if (a, b) in free or not relayed:
            return [((a, b),)] if (a, b) in free else []
        return [((a, c), (c, b)) for c in range(gpus) if (a, c) in free and (c, b) in free]

    for order in permutations(range(1, gpus)):
        for legs in product(*(ways(a, b) for a, b in pairwise((0, *order, 0)))):
            yield tuple(chain.from_iterable(legs))


def _packed(walks: list[tuple[_Hop, ...]], free: dict[_Hop, int], gpus: int) -> int:
    """The most of `walks`, each as often as one likes, that share the links that are `free`: by trying."""
    bound = min(sum(free[hop] for hop in free if hop[0] == gpu) for gpu in range(gpus)) if free else 0
    if not walks or not bound:
        return 0
    first, *rest = walks
    best = 0
    for times in range(min(free[hop] // first.count(hop) for hop in first), -1, -1):
        left = {hop: free[hop] - times * first.count(hop) for hop in free}
        best = max(best, times + _packed(rest, left, gpus))
        if best == bound:
            break
    return best

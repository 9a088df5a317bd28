"""The usual topologies: a node with NVLink or PCIe, a cluster on a fat tree or on rails, a dragonfly."""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy

from hpclab import checks
from hpclab.models.network import MOST_RANKS, Level, Link, Numbers, Topology

# NVLinks between each pair of a DGX-1's eight V100s (6 a GPU); pairs with none go over PCIe.
# NVIDIA DGX-1 With Tesla V100 System Architecture, WP-08437-002, figure 4 (the hybrid cube mesh).
CUBE_MESH = (
    (0, 1, 1, 2, 2, 0, 0, 0), (1, 0, 2, 1, 0, 2, 0, 0),
    (1, 2, 0, 2, 0, 0, 1, 0), (2, 1, 2, 0, 0, 0, 0, 1),
    (2, 0, 0, 0, 0, 1, 1, 2), (0, 2, 0, 0, 1, 0, 2, 1),
    (0, 0, 1, 0, 1, 2, 0, 2), (0, 0, 0, 1, 2, 1, 2, 0),
)  # fmt: skip
_SWITCHES = {"roce": "ethernet", "ethernet": "ethernet", "slingshot": "slingshot"}  # else InfiniBand's


def single_node(link: Link | str, gpus: int) -> Topology:
    """`gpus` ranks in one node, each joined to a switch by `link` (in one direction, all its lanes)."""
    spec, links = _link(link), _Links()
    level = links.node_level(spec, 1, gpus)
    return Topology(f"{gpus} × {spec.name} (switch)", gpus, tuple(links), (level,))


def cube_mesh(link: Link | str) -> Topology:
    """8 GPUs as in a DGX-1, `link` a GPU's six NVLinks together; pairs without one go over PCIe 3."""
    spec, links, gpus = _link(link), _Links(), len(CUBE_MESH)
    together, across = numpy.zeros(gpus, "i4"), numpy.full((1, gpus, gpus), -1, "i4")
    for a, b in itertools.permutations(range(gpus), 2):
        if parts := CUBE_MESH[a][b]:
            wire = replace(spec, bandwidth=spec.bandwidth * parts / 6)
            across[0, a, b] = links.add(wire, [f"GPU {a} to {b}"], halves=1)[0]
    out, into = links.ports(_link("pcie3-x16"), (f"GPU {n} PCIe" for n in range(gpus)))
    levels = (
        Level("node", together, (), (), 0.0, numpy.arange(gpus), across),
        Level("PCIe", together, (out,), (into,)),
    )
    return Topology(f"{gpus} × {spec.name} (cube mesh)", gpus, tuple(links), levels)


def cluster(
    nodes: int, gpus_per_node: int = 1, inside: Link | str = "nvlink4", nic: Link | str = "infiniband-ndr",
    nics_per_node: int = 1, oversubscription: float = 1.0, transport: str = "rdma",
    *, rails: bool = False, nodes_per_leaf: int = 16,
) -> Topology:  # fmt: skip
    """`nodes` × `gpus_per_node` ranks: `inside` joins those of a node, NICs and a fat tree the nodes.

    The GPUs of a node share its `nics_per_node` NICs evenly. A leaf switch joins `nodes_per_leaf` nodes, or
    with `rails` the NICs of the same place in them, and has 1/`oversubscription` of their bandwidth to the
    spine; traffic is taken to spread over the uplinks evenly, so at 1 they hold nobody up and are left out.
    `transport` "tcp" adds, at both ends, the core that copies for this rank. A NIC's latency holds that of
    the leaf switch, and over the spine come two more.
    """
    nodes = checks.integer("nodes", nodes, 1, MOST_RANKS)
    nodes_per_leaf = checks.integer("nodes_per_leaf", nodes_per_leaf, 1, MOST_RANKS, "nodes")
    per = checks.integer("gpus_per_node", gpus_per_node, 1, MOST_RANKS // nodes)
    nics = checks.integer("nics_per_node", nics_per_node, 1, per)
    over = checks.number("oversubscription", oversubscription, 1, 1000)
    checks.choice("transport", transport, ("rdma", "tcp"))
    if per % nics:
        raise ValueError(f"{per} GPUs cannot share {nics} NICs evenly: nics_per_node must divide them.")
    ranks, links, spec = nodes * per, _Links(), _link(nic)
    rank = numpy.arange(ranks)
    node, port = rank // per, rank // (per // nics)  # port counts NICs over all nodes
    levels = [links.node_level(_link(inside), nodes, per)] if per > 1 else []

    ends = []  # a rank's links to the network and from it, the nearest first
    if transport == "tcp":
        ends.append(links.ports(_link("kernel-tcp"), (f"rank {n} TCP copies" for n in rank)))
    out, into = links.ports(spec, (f"NIC {n}" for n in range(nodes * nics)))
    ends.append((out[port], into[port]))

    leaf = node // nodes_per_leaf
    if rails:
        leaf = leaf * nics + port % nics
    levels.append(_level("leaf", leaf, ends))
    narrow = over > 1 and leaf.max() > 0
    if narrow:
        width = min(nodes, nodes_per_leaf) * (1 if rails else nics) / over
        uplink, leaves = Link("", 0, spec.bandwidth * width), range(leaf.max() + 1)
        up, down = (links.add(uplink, (f"leaf {n} {way}" for n in leaves)) for way in ("up", "down"))
        ends.append((up[leaf], down[leaf]))
    if leaf.max() > 0:
        family = nic.partition("-")[0] if isinstance(nic, str) else ""
        switch = Link.named(f"{_SWITCHES.get(family, 'infiniband')}-switch")
        levels.append(_level("spine", numpy.zeros(ranks, "i4"), ends, 2 * switch.latency))
    name = f"{nodes} nodes × {per}, {spec.name}{' on rails' if rails else ''}"
    name += (f" {over:g}:1" if narrow else "") + (", TCP" if transport == "tcp" else "")
    return Topology(name, ranks, tuple(links), tuple(levels))


def dragonfly(groups: int, routers: int, nodes_per_router: int, nic: Link | str = "slingshot-11") -> Topology:
    """One rank a node; a link joins each pair of routers of a group, and each pair of groups.

    Routes are minimal (Kim, Dally, Scott & Abts, ISCA 2008): at most one link inside a group or one between
    two; the local hops before and after a global link are counted in latency only.
    """
    ranks = groups * routers * nodes_per_router
    spec, delay, links = _link(nic), _link("slingshot-switch").latency, _Links()
    router = numpy.arange(ranks) // nodes_per_router
    group, wire = router // routers, Link("", 0, spec.bandwidth)
    ends = [links.ports(spec, (f"NIC {n}" for n in range(ranks)))]
    local = numpy.full((groups, routers, routers), -1, "i4")
    for g, (a, b) in itertools.product(range(groups), itertools.permutations(range(routers), 2)):
        local[g, a, b] = links.add(wire, [f"group {g} router {a} to {b}"])[0]
    far = numpy.full((1, groups, groups), -1, "i4")
    for a, b in itertools.permutations(range(groups), 2):
        far[0, a, b] = links.add(wire, [f"group {a} to group {b}"])[0]
    levels = (
        _level("router", router, ends),
        _level("group", group, ends, delay, router % routers, local),
        _level("global", numpy.zeros(ranks, "i4"), ends, 3 * delay, group, far),
    )
    name = f"dragonfly {groups} × {routers} × {nodes_per_router}, {spec.name}"
    return Topology(name, ranks, tuple(links), levels)


def _level(name: str, group: Numbers, ends: Sequence[tuple[Numbers, Numbers]], *more: Any) -> Level:
    """A level that ranks reach over all of `ends`, and leave in the opposite order."""
    return Level(name, group, [out for out, _ in ends], [into for _, into in reversed(ends)], *more)


class _Links(list[Link]):
    """The links of a topology under construction."""

    def add(self, kind: Link, names: Iterable[str], halves: int = 2) -> Numbers:
        """Append a link like `kind` for each name, with its latency over `halves`; return their numbers."""
        before = len(self)
        self += [Link(name, kind.latency / halves, kind.bandwidth) for name in names]
        return numpy.arange(before, len(self), dtype="i4")

    def ports(self, spec: Link, names: Iterable[str]) -> tuple[Numbers, Numbers]:
        """Append a link out and one in for each name, with half of the latency each; return their numbers."""
        names = list(names)
        return self.add(spec, [f"{n} out" for n in names]), self.add(spec, [f"{n} in" for n in names])

    def node_level(self, link: Link, nodes: int, gpus: int) -> Level:
        """Append the links of `gpus` GPUs a node to its switch; return the level at which they meet."""
        ports = self.ports(link, (f"GPU {n}" for n in range(nodes * gpus)))
        return _level("node", numpy.arange(nodes * gpus) // gpus, [ports])


def _link(link: Link | str) -> Link:
    return link if isinstance(link, Link) else Link.named(link)

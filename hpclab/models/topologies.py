"""The usual topologies: a node with NVLink or PCIe, a cluster on a fat tree or on rails, a dragonfly.

What to notice: between nodes everything passes a NIC, which one GPU may have to itself or eight may share.
"""

from __future__ import annotations

import itertools

import numpy

from hpclab import checks
from hpclab.models.network import MOST_RANKS, Level, Link, Topology, Wiring, columns, nothing

# NVLinks between each pair of a DGX-1's eight V100s (6 a GPU); pairs with none go over PCIe.
# NVIDIA DGX-1 With Tesla V100 System Architecture, WP-08437-002, figure 4 (the hybrid cube mesh).
CUBE_MESH = (
    (0, 1, 1, 2, 2, 0, 0, 0), (1, 0, 2, 1, 0, 2, 0, 0),
    (1, 2, 0, 2, 0, 0, 1, 0), (2, 1, 2, 0, 0, 0, 0, 1),
    (2, 0, 0, 0, 0, 1, 1, 2), (0, 2, 0, 0, 1, 0, 2, 1),
    (0, 0, 1, 0, 1, 2, 0, 2), (0, 0, 0, 1, 2, 1, 2, 0),
)  # fmt: skip
WIRINGS = ("switch", "mesh", "cube mesh", "bus")
TRANSPORTS = ("rdma", "tcp")


def single_node(
    link: Link | str, gpus: int, wiring: str = "switch", pcie: Link | str = "pcie3-x16"
) -> Topology:
    """`gpus` ranks in one node, joined by `link` (what one GPU has in one direction, all its lanes together).

    `wiring` is "switch" (NVSwitch, or the ports of a PCIe switch: each GPU has its whole link to whoever it
    talks to), "mesh" (a wire for each pair, which gets an equal part of the link), "cube mesh" (8 GPUs as in
    a DGX-1; pairs without a wire go over `pcie`), or "bus" (one link that all share, as processes on one
    machine share its memory).
    """
    spec, wires = _link(link), Wiring()
    gpus = checks.integer("gpus", gpus, 1, 1024)
    wiring = checks.choice("wiring", wiring, WIRINGS)
    if wiring == "cube mesh" and gpus != len(CUBE_MESH):
        raise ValueError(f"A cube mesh has 8 GPUs, not {gpus}: take the wiring mesh or switch.")
    levels = _inside(wires, spec, 1, gpus, wiring)
    if wiring == "cube mesh":
        ports = _ports(wires, _link(pcie), [f"GPU {n} PCIe" for n in range(gpus)])
        levels.append(Level("PCIe", numpy.zeros(gpus, "i4"), columns(ports[0]), columns(ports[1])))
    return Topology(f"{gpus} × {spec.name} ({wiring})", gpus, tuple(wires.links), tuple(levels))


def cluster(
    nodes: int,
    gpus_per_node: int = 1,
    inside: Link | str = "nvlink4",
    nic: Link | str = "infiniband-ndr",
    nics_per_node: int = 1,
    oversubscription: float = 1.0,
    transport: str = "rdma",
    *,
    rails: bool = False,
    nodes_per_leaf: int = 16,
    gpudirect: bool = True,
    pcie: Link | str | None = None,
    hop: Link | str | None = None,
) -> Topology:
    """`nodes` × `gpus_per_node` ranks: `inside` joins those of a node, NICs and a fat tree the nodes.

    The GPUs of a node share its `nics_per_node` NICs evenly. A leaf switch joins `nodes_per_leaf` nodes, or
    with `rails` the NICs of the same place in them, and has 1/`oversubscription` of their bandwidth to the
    spine; traffic is taken to spread over the uplinks evenly, so at 1 they hold nobody up and are left out.
    `transport` "tcp" adds, at both ends, the core that copies for this rank. `pcie` (None: ranks on CPUs) is
    what joins a GPU and its NIC; without `gpudirect` the data turns round in host memory and so crosses the
    PCIe link between switch and host twice at each end, which all GPUs of that NIC share. `hop` is a switch:
    a NIC's latency holds the leaf's, and over the spine come two more.
    """
    nodes = checks.integer("nodes", nodes, 1, MOST_RANKS)
    per = checks.integer("gpus_per_node", gpus_per_node, 1, 1024)
    nics = checks.integer("nics_per_node", nics_per_node, 1, 64)
    checks.integer("nodes × gpus_per_node", nodes * per, 1, MOST_RANKS, "ranks")
    over = checks.number("oversubscription", oversubscription, 1, 1000)
    leaf_size = checks.integer("nodes_per_leaf", nodes_per_leaf, 1, MOST_RANKS, "nodes")
    transport = checks.choice("transport", transport, TRANSPORTS)
    if per % nics:
        raise ValueError(
            f"{per} GPUs cannot share {nics} NICs evenly: nics_per_node must divide gpus_per_node."
        )
    ranks, wires, spec, delay = nodes * per, Wiring(), _link(nic), _link(hop or _switch(nic)).latency
    rank = numpy.arange(ranks)
    node, port = rank // per, rank // (per // nics)  # port counts NICs over all nodes
    levels = _inside(wires, _link(inside), nodes, per, "switch") if per > 1 else []

    out, into = [], []  # a rank's way to the network, and from it, in order of crossing
    if pcie is not None:
        gpu = _ports(wires, _link(pcie), [f"GPU {n} PCIe" for n in rank])
        out, into = [gpu[0]], [gpu[1]]
        if not gpudirect:
            hosts = _ports(wires, _link(pcie), [f"NIC {n} host PCIe" for n in range(nodes * nics)])
            copy = Link("", 2 * _link("host-staging").latency, _link(pcie).bandwidth)  # one at each end
            copies = _ports(wires, copy, [f"GPU {n} staging" for n in rank])
            out += [copies[0], hosts[0][port], hosts[1][port]]
            into = [hosts[0][port], hosts[1][port], copies[1], *into]
    if transport == "tcp":
        cores = _ports(wires, _link("kernel-tcp"), [f"rank {n} TCP copies" for n in rank])
        out, into = [*out, cores[0]], [cores[1], *into]
    ends = _ports(wires, spec, [f"NIC {n}" for n in range(nodes * nics)])
    out, into = [*out, ends[0][port]], [ends[1][port], *into]

    leaf = node // leaf_size
    if rails:
        leaf = leaf * nics + port % nics
    levels.append(Level("leaf", leaf.astype("i4"), columns(*out), columns(*into)))
    if leaf.max() > 0:
        if over > 1:
            width = min(nodes, leaf_size) * (1 if rails else nics) / over
            uplink, leaves = Link("", 0, spec.bandwidth * width), range(leaf.max() + 1)
            up = wires.each(uplink, [f"leaf {n} up" for n in leaves])
            down = wires.each(uplink, [f"leaf {n} down" for n in leaves])
            out, into = [*out, up[leaf]], [down[leaf], *into]
        levels.append(Level("spine", numpy.zeros(ranks, "i4"), columns(*out), columns(*into), 2 * delay))
    name = f"{nodes} nodes × {per}, {spec.name}{' on rails' if rails else ''}"
    name += f" {over:g}:1" if over > 1 and leaf.max() > 0 else ""
    name += {"rdma": "", "tcp": ", TCP"}[transport] + ("" if gpudirect or pcie is None else ", no GPUDirect")
    return Topology(name, ranks, tuple(wires.links), tuple(levels))


def dragonfly(
    groups: int,
    routers: int,
    nodes_per_router: int,
    nic: Link | str = "slingshot-11",
    *,
    hop: Link | str = "slingshot-switch",
) -> Topology:
    """One rank a node; a link joins each pair of routers of a group, and each pair of groups.

    Routes are minimal (Kim, Dally, Scott & Abts, ISCA 2008): at most one link inside a group or one between
    two; the local hops before and after a global link are counted in latency only. Real ones also go by a
    third group when the direct link is busy.
    """
    groups = checks.integer("groups", groups, 1, 512)
    routers = checks.integer("routers", routers, 1, 64)
    per = checks.integer("nodes_per_router", nodes_per_router, 1, 64)
    ranks = checks.integer("groups × routers × nodes", groups * routers * per, 1, MOST_RANKS, "ranks")
    spec, delay, wires = _link(nic), _link(hop).latency, Wiring()
    rank = numpy.arange(ranks, dtype="i4")
    router = rank // per
    group, ends = router // routers, _ports(wires, spec, [f"NIC {n}" for n in rank])
    ways = columns(ends[0]), columns(ends[1])
    wire = Link("", 0, spec.bandwidth)
    local = numpy.full((groups, routers, routers), -1, "i4")
    for g, a, b in itertools.product(range(groups), range(routers), range(routers)):
        if a != b:
            local[g, a, b] = wires.add(wire, f"group {g} router {a} to {b}")
    levels = [Level("router", router, *ways), Level("group", group, *ways, delay, router % routers, local)]
    if groups > 1:
        far = numpy.full((1, groups, groups), -1, "i4")
        for a, b in itertools.permutations(range(groups), 2):
            far[0, a, b] = wires.add(wire, f"group {a} to group {b}")
        levels.append(Level("global", numpy.zeros(ranks, "i4"), *ways, 3 * delay, group, far))
    name = f"dragonfly {groups} × {routers} × {per}, {spec.name}"
    return Topology(name, ranks, tuple(wires.links), tuple(levels))


def _inside(wires: Wiring, spec: Link, nodes: int, per: int, wiring: str) -> list[Level]:
    """The level at which ranks of a node meet, with its links."""
    ranks = nodes * per
    node, place = numpy.divmod(numpy.arange(ranks, dtype="i4"), numpy.int32(per))
    if wiring == "bus":
        shared = numpy.full(ranks, wires.add(spec, "bus", halves=1), "i4")
        return [Level("bus", node, columns(shared), nothing(ranks))]
    if wiring == "switch":
        ports = _ports(wires, spec, [f"GPU {n}" for n in range(ranks)])
        return [Level("node", node, columns(ports[0]), columns(ports[1]))]
    parts = numpy.array(CUBE_MESH) / 6 if wiring == "cube mesh" else (1 - numpy.eye(per)) / max(1, per - 1)
    across = numpy.full((nodes, per, per), -1, "i4")
    for n, a, b in itertools.product(range(nodes), range(per), range(per)):
        if parts[a, b]:
            name = f"GPU {n * per + a} to {n * per + b}"
            across[n, a, b] = wires.add(spec, name, share=parts[a, b], halves=1)
    return [Level("node", node, nothing(ranks), nothing(ranks), 0.0, place, across)]


def _ports(wires: Wiring, spec: Link, names: list[str]) -> tuple[numpy.ndarray, numpy.ndarray]:
    """A link out and a link in for each name; each has half of the latency, so that a way has it once."""
    return wires.each(spec, [f"{n} out" for n in names]), wires.each(spec, [f"{n} in" for n in names])


def _switch(nic: Link | str) -> str:
    """The catalogue's switch for a NIC of the catalogue."""
    family = nic.split("-")[0] if isinstance(nic, str) else "infiniband"
    families = {"roce": "ethernet", "ethernet": "ethernet", "slingshot": "slingshot"}
    return families.get(family, "infiniband") + "-switch"


def _link(link: Link | str) -> Link:
    return link if isinstance(link, Link) else Link.named(link)

"""How long clients take to read (or write) their files from servers that share them, and what bounds it.

Files are numbered over all clients: client c's file i is number c · files + i. File n lies in stripes, dealt
out in turn to some servers from server n on, around the ring of all servers (`Reading.parts`).

A closed system of queues takes at least as long as its busiest part has to do, and at least as long as one
reader needs that has it to itself (Lazowska et al., Quantitative System Performance, 1984, chapter 5):

    seconds ≥ the largest of   a server:   its bytes / bandwidth, or its requests / operations
                               a link:     a client's bytes / link
                               metadata:   all opens / metadata
                               a reader:   its files · (1 / metadata + latency + one file's bytes over
                                           the least of link and servers)

The bounds leave out that readers meet on one server while another is idle. Where they are few, their files
are simulated: opened in order, each part waiting its turn, then flows that share servers and links equally.
Clients that begin on the same server can go round all servers in one crowd, and get one server's bandwidth.
"""

import functools
import heapq
import itertools
import math
from collections import Counter
from dataclasses import dataclass, replace

import numpy

from hpclab import checks

BOUNDS = ("servers", "a slow server", "server operations", "clients' links", "metadata", "latency")
_MOST_FLOWS = 64  # that are simulated at once; more readers than that keep every server busy
_RUN_FLOWS = 256  # in all; the files after them take as much longer than the bound as these do
_TURN = 2**17  # bytes that a server sends before it turns to another request


@dataclass(frozen=True, slots=True)
class Server:
    """One storage server: `bandwidth` in B/s and `operations` (requests) in 1/s; the slower of both binds."""

    bandwidth: float
    operations: float = math.inf

    def __post_init__(self) -> None:
        checks.number("bandwidth of a server", self.bandwidth, 1, 1e15, "B/s")
        checks.number("operations of a server", self.operations, 1e-3, math.inf, "1/s")


@dataclass(frozen=True, slots=True)
class Store:
    """A storage system: its `servers`, how many opens/s their `metadata` takes, each client's `link` in B/s
    and the `latency` in s that a file costs once, whoever else is there."""

    servers: tuple[Server, ...]
    metadata: float = math.inf
    link: float = math.inf
    latency: float = 0.0

    def __post_init__(self) -> None:
        found = checks.instances("servers", self.servers, Server)
        checks.integer("The number of servers", len(found), 1, 4096)
        object.__setattr__(self, "servers", tuple(found))
        checks.number("metadata", self.metadata, 1e-3, math.inf, "opens/s")
        checks.number("link", self.link, 1, math.inf, "B/s")
        checks.number("latency", self.latency, 0, 3600, "s")


@dataclass(frozen=True, slots=True)
class Reading:
    """Each of `clients` reads `files` of `size` bytes whole, `streams` of them at a time.

    `stripes` is the stripe count, at most one on each server, `stripe_size` in bytes. A file is one request
    to each server that holds a part of it.
    """

    clients: int = 1
    files: int = 1
    size: float = 0
    stripes: int = 1
    stripe_size: int = 2**20
    streams: int = 1

    def __post_init__(self) -> None:
        for name, low, most in (("clients", 1, 10**6), ("files", 1, 10**9), ("stripes", 1, 4096),
                                ("stripe_size", 1, 2**50), ("streams", 1, 4096)):  # fmt: skip
            checks.integer(name, getattr(self, name), low, most)
        checks.number("size", self.size, 0, 2**60, "bytes")

    @property
    def bytes(self) -> float:
        """All that all clients read."""
        return self.clients * self.files * self.size

    def parts(self, servers: int) -> list[float]:
        """The bytes of a file on the first, second, ... server that it lies on: the one place that says how
        a file is laid out."""
        width = min(self.stripes, servers)
        turns, rest = divmod(self.size, width * self.stripe_size)
        last = [min(max(rest - place * self.stripe_size, 0), self.stripe_size) for place in range(width)]
        return [turns * self.stripe_size + part for part in last if turns or part]


@dataclass(frozen=True)
class Forecast:
    """What all clients together get."""

    seconds: float  # until the last is done
    bound: str  # the one of BOUNDS that costs the most of them
    bandwidth: float  # B/s
    files_per_second: float


def predict(store: Store, reading: Reading) -> Forecast:
    """The Forecast: the largest bound, times the first files' simulated time over their own largest bound."""
    checks.instance("store", store, Store)
    checks.instance("reading", reading, Reading)
    bounds, streams = _bounds(store, reading), min(reading.streams, reading.files)
    bound = max(bounds, key=bounds.__getitem__)
    seconds = bounds[bound]
    flows = reading.clients * len(reading.parts(len(store.servers)))
    if 0 < flows * streams <= _MOST_FLOWS:
        few = replace(reading, files=min(reading.files, max(streams, _RUN_FLOWS // flows)))
        seconds *= max(1.0, _run(store, reading, few.files) / max(_bounds(store, few).values()))
    files = reading.clients * reading.files / seconds if seconds else math.inf
    return Forecast(seconds, bound, files * reading.size if reading.size else 0.0, files)


def _bounds(store: Store, reading: Reading) -> dict[str, float]:
    """Seconds of each of BOUNDS; the time of a reader alone counts under the bound that takes most of it."""
    count, clients, files = len(store.servers), reading.clients, reading.files
    begins = numpy.full(count, clients * files // count)  # files whose first stripe lies on each server
    begins[: clients * files % count] += 1
    bandwidth, operations = numpy.array([(one.bandwidth, one.operations) for one in store.servers]).T
    moving, asking, alone = numpy.zeros((3, count))
    for place, part in enumerate(reading.parts(count)):
        moving += numpy.roll(begins, place) * part / bandwidth
        asking += numpy.roll(begins, place) / operations
        alone = numpy.maximum(alone, numpy.roll(numpy.maximum(part / bandwidth, 1 / operations), -place))
    last = int(numpy.argmax(numpy.maximum(moving, asking)))
    servers = "a slow server" if bandwidth[last] < bandwidth.max() else "servers"
    servers = servers if moving[last] >= asking[last] else "server operations"
    found = dict.fromkeys(BOUNDS, 0.0)
    found[servers] = float(max(moving[last], asking[last]))
    found["clients' links"] = files * reading.size / store.link
    found["metadata"] = clients * files / store.metadata
    # a reader's own turn: its client's files begin at server c · files and go round the ring
    file = numpy.maximum(alone, reading.size / store.link)
    twice = numpy.concatenate([[0.0], numpy.cumsum(numpy.tile(file, 2))])
    starts = numpy.arange(min(clients, count)) * (files % count) % count
    slowest = float((twice[starts + files % count] - twice[starts]).max() + files // count * file.sum())
    turn = {"metadata": files / store.metadata, "latency": files * store.latency,
            "clients' links" if reading.size / store.link >= alone.max() else servers: slowest}  # fmt: skip
    most = max(turn, key=turn.__getitem__)
    found[most] = max(found[most], sum(turn.values()) / min(reading.streams, files))
    return found


@functools.lru_cache(4096)
def _run(store: Store, reading: Reading, files: int) -> float:
    """Seconds until each client has read its first `files` files, simulated from event to event."""
    count, parts = len(store.servers), reading.parts(len(store.servers))
    wanted = [iter(range(c * reading.files, c * reading.files + files)) for c in range(reading.clients)]
    opening: list[tuple[float, int, int, bool]] = []  # when a part begins, number, part; has it waited?
    flows: dict[tuple[int, int], tuple[tuple[int, float], ...]] = {}  # number, server -> part, s of it a byte
    rest, now, opened = dict[tuple[int, int], float](), 0.0, 0.0

    def take(client: int) -> None:
        nonlocal opened
        for number in itertools.islice(wanted[client], 1):
            opened = max(now, opened) + 1 / store.metadata
            for place in range(len(parts)):
                heapq.heappush(opening, (opened + store.latency, number, place, False))

    for reader in range(reading.clients * min(reading.streams, files)):
        take(reader % reading.clients)
    while opening or flows:
        sharing = Counter(part for uses in flows.values() for part, _ in uses)
        slowness = {flow: max(sharing[part] * cost for part, cost in uses) for flow, uses in flows.items()}
        ends, before = {flow: now + rest[flow] * slowness[flow] for flow in flows}, now
        now = min([*ends.values(), *(one[0] for one in opening[:1])])
        for flow, end in ends.items():
            rest[flow] -= (now - before) / slowness[flow]
            if end <= now * (1 + 1e-12):
                del flows[flow]
                if all(flow[0] != other[0] for other in flows) and all(flow[0] != one[1] for one in opening):
                    take(flow[0] // reading.files)
        while opening and opening[0][0] <= now * (1 + 1e-12):
            _, number, place, waited = heapq.heappop(opening)
            flow, part = (number, (number + place) % count), parts[place]
            server = store.servers[flow[1]]
            cost = max(1 / server.bandwidth, 1 / server.operations / part)  # s of the server for a byte
            ahead = [rest[other] for other in flows if other[1] == flow[1]]
            ahead += [part for _, other, at, late in opening if late and (other + at) % count == flow[1]]
            if ahead and not waited:
                turn = sum(min(_TURN, each) for each in ahead) * cost
                heapq.heappush(opening, (now + turn, number, place, True))
                continue
            flows[flow] = (flow[1], cost), (count + number // reading.files, 1 / store.link)
            rest[flow] = part
    return now

"""Lesson 07: what binds, data that keep their accelerators busy, when to stage, and how often to save."""

import math
from textwrap import fill
from types import SimpleNamespace

from hpclab import checks
from hpclab.exercises import Exercise, judges
from hpclab.models.storage import Reading, Server, Store, predict
from hpclab.storage.striped import condition
from hpclab.units import format_bytes

STORES = {
    "A": (Store((Server(500e6),) * 4, metadata=2000, link=3e9), Reading(32, 1000, 100e3)),
    "B": (Store((Server(2e9),) * 8, metadata=20_000, link=1e9), Reading(4, 50, 1e9, stripes=8)),
    "C": (Store((Server(500e6),) * 4, metadata=20_000, link=3e9), Reading(16, 20, 1e9, stripes=4)),
    "D": (Store((Server(500e6),) * 3 + (Server(50e6),), metadata=20_000, link=3e9), Reading(16, 20, 1e9, 4)),
    "E": (Store((Server(500e6),) * 3 + (Server(250e6),), metadata=2000, link=3e9), Reading(32, 1000, 100e3)),
}
"""Five stores and what is read from them: clients, files of each, bytes of a file, stripe count."""

BOUNDS = ("servers", "clients' links", "metadata", "a slow server")
"""What can bind; one of these for each store."""


def stores() -> str:
    """STORES in words, as the notebook prints them, and the BOUNDS to choose from."""
    lines = (
        fill(
            f"{name}: {condition(store)}; {reading.clients} clients read {reading.files:,} files of "
            f"{format_bytes(reading.size, binary=False)} each, stripe count {reading.stripes}.",
            width=78, subsequent_indent="   ",
        )
        for name, (store, reading) in STORES.items()
    )  # fmt: skip
    return "\n".join([*lines, "Each is one of:  " + "  ".join(map(repr, BOUNDS))])


def _loads(key: str, bound: str) -> str:
    """A sentence: the seconds that each part of store `key` needs, against `bound` as the answer."""
    store, reading = STORES[key]
    seconds = {
        "servers": reading.bytes / sum(server.bandwidth for server in store.servers),
        "clients' links": reading.files * reading.size / store.link,
        "metadata": reading.clients * reading.files / store.metadata,
    }
    listed = ", ".join(f"{name} {value:.3g} s" for name, value in seconds.items())
    if bound == "a slow server" and key == "E":
        slow = reading.bytes / 4 / store.servers[-1].bandwidth
        return f"one is slow, but its quarter of the files takes {slow:.3g} s; {listed}."
    if bound == "a slow server":
        return f"its servers are all the same. Compare what each part has to do: {listed}."
    if key == "D":
        return "right, were the servers equal. A striped file is there when its last stripe is."
    return f"give each part its whole load and divide by what it can do: {listed}. The longest counts."


WHAT_BINDS = Exercise("07", "what binds", judges.by_choice(
    "bound",
    {"A": "metadata", "B": "clients' links", "C": "servers", "D": "a slow server", "E": "metadata"},
    BOUNDS, _loads,
    yes="Small files cost opens, few clients have few links, many share the servers, and one slow server "
    "holds up every file that has a stripe on it. In E it is slow as well, and has time enough.",
), (
    "For each part: all that it has to do, divided by what it can do in a second.",
    "Servers: all bytes. A link: the bytes of one client. Metadata: all opens.",
    "In D every file has a stripe on each server, the slow one too. In E each server has a quarter of the "
    "files whole: how long does the slow one need for its own?",
))  # fmt: skip

NODES, BATCH, STEP, SAMPLE, SAMPLES = 16, 64, 0.25, 114_660, 1_281_167
"""A training job: nodes with one accelerator each, samples in a batch, seconds of a step, bytes of a sample
(ImageNet's as MLPerf Storage has them), samples in all."""

DECODE, CORES = 0.01, 8  # seconds of one core to decode a sample, and cores of a node for loader workers

SITE = Store((Server(500e6),) * 4, metadata=2000, link=3e9, latency=2e-3)
"""The store: four servers, 2,000 opens a second, and 2 ms for an open."""


def _job(answer: object) -> SimpleNamespace:
    """What the samples in a shard and workers of a node in `answer` give: samples/s of a node that the store
    supplies, workers decode and the accelerator takes, and the share of time that it is busy."""
    given = judges.read_dict(answer, samples_per_shard=SAMPLES, workers=None)
    shard, workers = given.samples_per_shard, checks.integer("workers", given.workers, 0, 1024)
    hands = max(workers, 1)
    forecast = predict(SITE, Reading(NODES, 64, shard * SAMPLE, streams=hands))
    supply = forecast.files_per_second * shard / NODES
    decoded = min(hands, CORES) / DECODE
    demand = BATCH / STEP
    beside = STEP if workers else STEP + BATCH * DECODE  # without workers nothing is decoded during a step
    shards = SAMPLES / shard
    return SimpleNamespace(
        shard=shard, workers=workers, demand=demand, opens=NODES * demand / shard, shards=shards,
        each=math.floor(100 * shards / (NODES * hands)) / 100, supply=supply, decoded=decoded,
        bound=forecast.bound,
        use=min(supply / demand, STEP / beside, 1.0),
    )  # fmt: skip


KEEP_BUSY = Exercise("07", "keep it busy", judges.by_facts(
    _job,
    (lambda f: f.workers == 0, "Without workers the training process decodes for {f.use:.0%} of busy "
     "time: nothing is fetched or decoded while the accelerator computes."),
    (lambda f: f.workers > CORES, "{f.workers} workers are more than the 8 that a node has cores for: "
     "they would decode no faster, and all of them open files."),
    (lambda f: f.decoded < 0.9 * f.demand, "A worker decodes 100 samples/s, so {f.workers} give "
     "{f.decoded:.0f}/s, and a node's accelerator takes {f.demand:.0f}/s."),
    (lambda f: f.use < 0.9, "{f.shard} samples in a shard are {f.opens:,.0f} opens/s for 16 nodes; the "
     "store gives {f.supply:.0f} samples/s a node, {f.use:.0%} of what is needed ({f.bound})."),
    (lambda f: f.each < 1, "{f.shards:,.0f} shards for 16 nodes of {f.workers} workers: some get none at "
     "all, and the others read alone."),
    (lambda f: f.each < 20, "Each worker has only {f.each:.4g} shards an epoch: the last one is a long "
     "wait for all others, and samples are hardly mixed. Make it 20 or more."),
    yes="The accelerators are busy {f.use:.0%} of the time, with {f.opens:,.1f} opens/s instead of 4,096, "
    "and each worker has {f.each:,.0f} shards to take in turn. From some tens of samples in a shard on, "
    "opens no longer matter: larger shards gain nothing.",
), (
    "A node takes 64 samples in 0.25 s. How many do you have to open, and to decode, in a second?",
    "16 nodes ask for 4,096 samples/s together, and there are 2,000 opens/s. Put several in one file.",
    "Decoding takes 10 ms: count the workers that a node needs. It has 8 cores.",
    "Few large shards are not enough for all workers: leave each of them 20 or more in an epoch.",
))  # fmt: skip


def _epochs(copy: float, shared: float, local: float) -> frozenset[float]:
    """The numbers of epochs that are right: at which a copy of `copy` seconds has just paid off, and the
    first whole ones at which staging is no slower, and faster. An epoch takes `shared` or `local` seconds."""
    even = copy / (shared - local)
    return frozenset((even, math.ceil(even), math.floor(even) + 1))


STAGING = Exercise("07", "staging", judges.in_turn(
    judges.by_function(
        "epochs_to_pay(copy, shared, local)", "a number of epochs",
        lambda: ((60.0, 30.0, 10.0), (100.0, 12.0, 10.0), (5.0, 40.0, 20.0)), _epochs,
        (lambda c, s, x: c / s, "that is how many epochs the copy is worth, but local epochs cost, too."),
        (lambda c, s, x: c / x, "that leaves out what an epoch costs where the data are now."),
        (lambda c, s, x: (c + x) / s, "that counts one local epoch; each saves only the difference."),
        (lambda c, s, x: s - x, "that is what an epoch saves. How many of them pay for the copy?"),
        (lambda c, s, x: (s - x) / c, "upside down: a longer copy must need more epochs."),
        (lambda c, s, x: c / (s + x), "the difference of the two epochs, not their sum, is saved."),
        shown="For a copy of 60 s, 30 s an epoch shared and 10 s local you get {0:g}: ",
        otherwise=lambda n, c, s, x: f"For ({c:g}, {s:g}, {x:g}) you get {n:g} epochs. Put that in: shared "
        f"they take {n * s:g} s, staged {c:g} + {n * x:g} s, not the same.",
    ),
    judges.by_function(
        "epochs_to_pay(copy, shared, local)", "a number of epochs",
        lambda: ((60.0, 10.0, 10.0), (60.0, 8.0, 10.0)), lambda *_: math.inf,
        otherwise=lambda n, c, s, x: f"Right where the local disk is faster. But with {s:g} s shared and "
        f"{x:g} s local you say {n:g} epochs: no number pays there. Return math.inf.",
        stopped=lambda stop: f"Where the local disk is no faster: {stop} Return math.inf there.",
        yes="Each epoch saves the difference, and the copy is paid once. Whoever reads once gains nothing.",
    ),
), (
    "n epochs shared: n × shared. Staged: copy + n × local. Where are they the same?",
    "What if local is not faster than shared?",
))  # fmt: skip

INTERVAL = Exercise("07", "interval", judges.by_function(
    "best_interval(write, mtbf)", "a number of seconds",
    lambda: ((60.0, 86_400.0), (20.0, 21_600.0), (300.0, 360_000.0)),
    lambda write, mtbf: math.sqrt(2 * write * mtbf),
    (lambda c, m: math.sqrt(2 * c * m) / 60, "right in minutes; but write and mtbf are seconds."),
    (lambda c, m: math.sqrt(c * m), "nearly: a failure comes, on average, half an interval after the "
     "last save, so half of it is lost. Set write / t against t / (2 mtbf)."),
    (lambda c, m: 2 * c * m, "the square root is missing; the unit gives it away, it is s²."),
    (lambda c, m: m, "that saves once between two failures and loses half of all work."),
    (lambda c, m: c, "then it does nothing but save."),
    (lambda c, m: m / c, "that has no unit: it is a number of saves."),
    (lambda c, m: math.sqrt(2 * m / c), "a dearer save must be made less often, not more often."),
    (lambda c, m: m / 2, "that is when half of the failures have come, whatever a save costs."),
    shown="For a save of 60 s and a failure a day you get {0:.0f} s: ",
    otherwise=lambda t, c, m: f"For a save of {c:g} s and {m:g} s between failures you get {t:.0f} s. The "
    f"share lost there, write/t + t/(2 mtbf), is {c / max(t, 1e-9) + max(t, 0) / (2 * m):.2%}; it can be "
    f"{math.sqrt(2 * c / m):.2%}.",
    within=0.05,  # a search in whole minutes is as good
    yes="√(2 · write · mtbf), as Young found in 1974: {right[0]:.0f} s for a save of 60 s and a failure a "
    "day. A node more, and failures come sooner: the larger the job, the more often it must save.",
), (
    "Save every t seconds. Saving costs write / t of the time. A failure costs half an interval, t / 2, and "
    "one comes every mtbf seconds: t / (2 mtbf) of the time.",
    "The sum write / t + t / (2 mtbf) is smallest where both are the same.",
))  # fmt: skip

NODES_4, RATE, DECODED = 4, 2048.0, 500.0
"""Of the challenge: nodes, samples/s that the accelerators of one take, and those that a worker decodes."""

DISK, OPEN, NODE_LINK = Server(50e6, 40.0), 10e-3, 2.5e9
"""What is rented: servers whose disks turn, so 40 requests/s; seconds of an open; B/s of a node's link."""

OPENS, BUFFERS = 20, 200e6
"""What a credit buys, if not a server or a worker on every node: opens/s, or bytes of every node's memory."""


def _rented(answer: object) -> SimpleNamespace:
    """What the store and the layout in `answer` cost, in credits, and the samples/s that they give a node."""
    f = judges.read_dict(answer, servers=64, opens=10**5, samples_per_shard=SAMPLES, stripes=64, workers=64)
    shard = f.samples_per_shard * SAMPLE
    reading = Reading(NODES_4, 101, shard, f.stripes, streams=f.workers)
    forecast = predict(Store((DISK,) * f.servers, f.opens, NODE_LINK, OPEN), reading)
    f.bound, f.supply = forecast.bound, forecast.files_per_second * f.samples_per_shard / NODES_4
    f.decoded, f.each = f.workers * DECODED, SAMPLES / f.samples_per_shard / NODES_4 / f.workers
    f.use, f.reach = min(f.supply, f.decoded, RATE) / RATE, NODES_4 * f.workers * f.stripes
    f.cost = round(f.servers + f.workers + f.opens / OPENS + f.workers * shard / BUFFERS, 1)
    return f


CHEAPEST = Exercise("07", "the cheapest store", judges.by_facts(
    _rented,
    (lambda f: f.stripes > f.servers, "{f.stripes} stripes do not fit on {f.servers} servers."),
    (lambda f: f.decoded < 0.9 * RATE, "{f.workers} workers decode {f.decoded:,.0f} samples/s, and a "
     "node's accelerators take 2,048."),
    (lambda f: f.use < 0.9 and f.reach < f.servers, "{f.reach} stripes are read at once at the most, so "
     "no more than {f.reach} of {f.servers} servers have work: busy {f.use:.1%} of the time."),
    (lambda f: f.use < 0.9, "The store gives a node {f.supply:,.0f} samples/s: busy {f.use:.1%} of the "
     "time, for {f.cost:.1f} credits. What binds: {f.bound}."),
    (lambda f: f.each < 20, "A worker has {f.each:.1f} shards an epoch, and needs 20."),
    yes="Busy {f.use:.1%} of the time, for {f.cost:.1f} credits. What binds: {f.bound}. A guess (20 servers, "
    "1,000 samples in a shard, 8 workers) costs 33.6. Below 25 is possible.", score=("cost", "credits"),
), (
    "First what must be: how many bytes a second do the nodes take at 90 %, and how many servers is that?",
    "Four nodes with few workers read few files at once. With a stripe count of 1, how many servers work?",
    "Each stripe is a request, and a server answers 40/s. Larger shards ask less often, and fill memory.",
    "A credit buys 20 opens/s: count the shards that are opened in a second, and rent no more than that.",
))  # fmt: skip

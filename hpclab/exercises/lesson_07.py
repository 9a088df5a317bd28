"""Lesson 07: what binds, data that keep their accelerators busy, when to stage, and how often to save."""

import math
from collections.abc import Mapping
from types import SimpleNamespace

from hpclab import checks
from hpclab.exercises import Exercise, judges
from hpclab.models.storage import Reading, Server, Store, predict

STORES: Mapping[str, tuple[Store, Reading]] = {
    "A": (Store((Server(500e6),) * 4, metadata=2000, link=3e9), Reading(32, 1000, 100e3)),
    "B": (Store((Server(2e9),) * 8, metadata=20_000, link=1e9), Reading(4, 50, 1e9, stripes=8)),
    "C": (Store((Server(500e6),) * 4, metadata=20_000, link=3e9), Reading(16, 20, 1e9, stripes=4)),
    "D": (Store((Server(500e6),) * 3 + (Server(50e6),), metadata=20_000, link=3e9), Reading(16, 20, 1e9, 4)),
}
"""Four stores and what is read from them: clients, files of each, bytes of a file, stripe count."""

BOUNDS = ("servers", "clients' links", "metadata", "a slow server")
"""What can bind; one of these for each store."""


def _loads(key: str, bound: str) -> str:
    store, reading = STORES[key]
    seconds = {
        "servers": reading.bytes / sum(server.bandwidth for server in store.servers),
        "clients' links": reading.files * reading.size / store.link,
        "metadata": reading.clients * reading.files / store.metadata,
    }
    listed = ", ".join(f"{name} {value:.3g} s" for name, value in seconds.items())
    if bound == "a slow server":
        return f"its servers are all the same. Compare what each part has to do: {listed}."
    if key == "D":
        return "right, were the servers equal. A striped file is there when its last stripe is."
    return f"give each part its whole load and divide by what it can do: {listed}. The longest counts."


WHAT_BINDS = Exercise("07", "what binds", judges.by_choice(
    "bound", dict(zip(STORES, ("metadata", "clients' links", "servers", "a slow server"), strict=True)),
    BOUNDS, _loads,
    yes="Small files cost opens, few clients have few links, many share the servers, and one slow server "
    "holds up every file that has a stripe on it.",
), (
    "For each part: all that it has to do, divided by what it can do in a second.",
    "Servers: all bytes. A link: the bytes of one client. Metadata: all opens.",
    "In D every file has a stripe on each server, the slow one too.",
))  # fmt: skip


NODES, BATCH, STEP, SAMPLE, SAMPLES = 16, 64, 0.25, 114_660, 1_281_167
"""A training job: nodes with one accelerator each, samples in a batch, seconds of a step, bytes of a sample
(ImageNet's as MLPerf Storage has them), samples in all."""

DECODE, CORES = 0.01, 8
"""Seconds of one core to decode a sample, and cores of a node for loader workers."""

SITE = Store((Server(500e6),) * 4, metadata=2000, link=3e9, latency=2e-3)
"""The store: four servers, 2,000 opens a second, and 2 ms for an open."""


def _job(answer: object) -> SimpleNamespace:
    """What a plan of samples in a shard and workers on a node gives: what each part lets through."""
    if not isinstance(answer, Mapping) or set(answer) != {"samples_per_shard", "workers"}:
        raise ValueError("The answer is a dict with a number for each of samples_per_shard and workers.")
    shard = checks.integer("samples_per_shard", answer["samples_per_shard"], 1, SAMPLES)
    workers = checks.integer("workers", answer["workers"], 0, 1024)
    hands = max(workers, 1)
    forecast = predict(SITE, Reading(NODES, 64, shard * SAMPLE, streams=hands))
    supply = forecast.files_per_second * shard / NODES
    decoded = min(hands, CORES) / DECODE
    demand = BATCH / STEP
    beside = STEP if workers else STEP + BATCH * DECODE  # without workers nothing is decoded during a step
    shards = SAMPLES / shard
    return SimpleNamespace(
        shard=shard, workers=workers, demand=demand, opens=NODES * demand / shard, shards=shards,
        each=shards / (NODES * hands), supply=supply, decoded=decoded, bound=forecast.bound,
        use=min(supply / demand, decoded / demand, STEP / beside, 1.0),
    )  # fmt: skip


KEEP_BUSY = Exercise("07", "keep it busy", judges.by_facts(
    _job, (
        (lambda f: f.workers == 0, "Without workers the training process decodes for {f.use:.0%} of busy "
         "time: nothing is fetched or decoded while the accelerator computes."),
        (lambda f: f.workers > CORES, "{f.workers} workers share 8 cores: more than one for each core "
         "decodes no faster, and all of them open files."),
        (lambda f: f.decoded < 0.9 * f.demand, "A worker decodes 100 samples/s, so {f.workers} give "
         "{f.decoded:.0f}/s, and a node's accelerator takes {f.demand:.0f}/s."),
        (lambda f: f.use < 0.9, "{f.shard} samples in a shard are {f.opens:,.0f} opens/s for 16 nodes; the "
         "store gives {f.supply:.0f} samples/s a node, {f.use:.0%} of what is needed ({f.bound})."),
        (lambda f: f.each < 1, "{f.shards:,.0f} shards for 16 nodes of {f.workers} workers: some get none "
         "at all, and the others read alone."),
        (lambda f: f.each < 20, "Each worker has only {f.each:.1f} shards an epoch: the last one is a long "
         "wait for all others, and samples are hardly mixed. Make it 20 or more."),
    ),
    yes="The accelerators are busy {f.use:.0%} of the time, with {f.opens:,.1f} opens/s instead of 4,096, "
    "and each worker has {f.each:,.0f} shards to take in turn. From some tens of samples in a shard on, "
    "opens no longer matter: larger shards gain nothing.",
), (
    "A node takes 64 samples in 0.25 s. How many do you have to open, and to decode, in a second?",
    "16 nodes ask for 4,096 samples/s together, and there are 2,000 opens/s. Put several in one file.",
    "Decoding takes 10 ms: count the workers that a node needs. It has 8 cores.",
    "Few large shards are not enough for all workers: leave each of them 20 or more in an epoch.",
))  # fmt: skip


STAGING = Exercise("07", "staging", judges.in_turn(
    judges.by_function(
        "epochs_to_pay(copy, shared, local)", "a number of epochs",
        lambda: ((60.0, 30.0, 10.0), (100.0, 12.0, 10.0), (5.0, 40.0, 20.0)),
        lambda copy, shared, local: copy / (shared - local), (
            (lambda c, s, x: c / s, "that is how many epochs the copy is worth, but local epochs cost, too."),
            (lambda c, s, x: c / x, "that leaves out what an epoch costs where the data are now."),
            (lambda c, s, x: (c + x) / s, "that counts one local epoch; each saves only the difference."),
            (lambda c, s, x: s - x, "that is what an epoch saves. How many of them pay for the copy?"),
            (lambda c, s, x: (s - x) / c, "upside down: a longer copy must need more epochs."),
            (lambda c, s, x: c / (s + x), "the difference of the two epochs, not their sum, is saved."),
        ),
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
    lambda write, mtbf: math.sqrt(2 * write * mtbf), (
        (lambda c, m: math.sqrt(c * m), "nearly: a failure comes, on average, half an interval after the "
         "last save, so half of it is lost. Set write / t against t / (2 mtbf)."),
        (lambda c, m: 2 * c * m, "the square root is missing; the unit gives it away, it is s²."),
        (lambda c, m: m, "that saves once between two failures and loses half of all work."),
        (lambda c, m: c, "then it does nothing but save."),
        (lambda c, m: m / c, "that has no unit: it is a number of saves."),
        (lambda c, m: math.sqrt(2 * m / c), "a dearer save must be made less often, not more often."),
        (lambda c, m: m / 2, "that is when half of the failures have come, whatever a save costs."),
    ),
    shown="For a save of 60 s and a failure a day you get {0:.0f} s: ",
    otherwise=lambda t, c, m: f"For a save of {c:g} s and {m:g} s between failures you get {t:.0f} s. The "
    f"share lost there, write/t + t/(2 mtbf), is {c / max(t, 1e-9) + max(t, 0) / (2 * m):.2%}; it can "
    f"be {math.sqrt(2 * c / m):.2%}.",
    within=0.03,
    yes="√(2 · write · mtbf), as Young found in 1974: {right[0]:.0f} s for a save of 60 s and a failure a "
    "day. A node more, and failures come sooner: the larger the job, the more often it must save.",
), (
    "What saving costs, as a share of time: write / t. What a failure costs: half an interval, 1/mtbf "
    "times a second.",
    "The sum write / t + t / (2 mtbf) is smallest where both are the same.",
))  # fmt: skip

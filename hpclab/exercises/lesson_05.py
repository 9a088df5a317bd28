"""Lesson 05: a chunk size, a number of nodes, the break-even of asking for more, and reading the bars."""

import heapq
import math
from types import SimpleNamespace

from hpclab import checks, units
from hpclab.exercises import Exercise, judges

_MIB, _KIB = 2**20, 2**10
_CORPUS, _NODES, _RATE, _OVERHEAD = 4096 * _MIB, 32, 4 * _MIB, 0.005  # bytes, nodes, bytes/s, s a task
_SHARE = _CORPUS // _NODES


def _chunks(size: float) -> dict[str, object]:
    """What sentences use of chunks of `size` bytes: shares of overhead and waiting, and their number."""
    task = max(size, 1) / _RATE
    return {
        "shown": f"A chunk of {units.format_bytes(size)} is {units.format_seconds(task)} of work",
        "overhead": _OVERHEAD / task, "idle": size / _SHARE, "count": math.ceil(_CORPUS / max(size, 1)),
    }  # fmt: skip


_WAIT = (
    f"{{shown}}, and a node works {_SHARE // _RATE} s in all. Nodes that are done may wait one whole chunk "
    "for the last one: {idle:.1%} of the run."
)

CHUNK_SIZE = Exercise("05", "chunk size", judges.by_number(
    "The chunk size", (2 * _MIB, 0.05 * _SHARE),
    ((0, _KIB - 1), "{value:g} bytes is not even one file: write the unit, such as '4 MiB'."),
    ((_KIB - 1, 2 * _MIB), f"{{shown}}, and sending it out costs {units.format_seconds(_OVERHEAD)} on "
     "top: {overhead:.2%}. Balance is not the trouble here, the cost of each task is."),
    (_SHARE, _WAIT + " One chunk for each node is the worst of these."),
    ((2 * _MIB, _SHARE), _WAIT),
    ((_SHARE, _CORPUS), "{shown}, and {count} are all there are: some nodes never get any."),
    ((_CORPUS, 1e30), f"There are only {units.format_bytes(_CORPUS)} of text: no chunk is larger."),
    unit="bytes", allowed=(0, 1e30), text=units.parse_bytes, within=0, facts=_chunks,
    yes="{shown}: {overhead:.2%} of overhead, and at most {idle:.1%} of waiting at the end. Anything from 2 "
    "to 6.4 MiB holds both: the range is wide, so nobody needs the exact optimum.",
), (
    "Two limits: one from below (each task must be worth its overhead) and one from above (balance).",
    "From below: chunk / (4 MiB/s) must be at least 100 × 5 ms.",
    "From above: a node has 4 GiB / 32 to do, and one chunk must be at most 5 % of that.",
))  # fmt: skip

TIMES = {1: 672.0, 2: 341.0, 4: 176.0, 8: 96.0, 16: 60.0, 32: 50.0, 64: 61.0}
"""Seconds by nodes of a run to judge: modelled, with the USL for σ = 0.0126 and κ = 0.001, and rounded."""


def _efficiency(nodes: float) -> dict[str, str]:
    """What sentences use of a run on `nodes` nodes: its speedup and efficiency, in words."""
    speedup = TIMES[1] / TIMES.get(int(nodes), math.inf)
    share = speedup / max(nodes, 1)
    return {"shown": f"{nodes:g} nodes: {speedup:.1f}× as fast, an efficiency of {share:.0%}"}


NODES_THAT_PAY = Exercise("05", "nodes that pay", judges.by_number(
    "The number of nodes", 16,
    (1, "{shown}. One node is always 100 % efficient; more of them still pay here."),
    (64, "{shown}, and slower than 32. More nodes do not even help there."),
    (32, "{shown}. It is the fastest run, and more than half of what it costs is wasted."),
    (8, "{shown}. That is above 70 %, but at least 70 % takes exactly 70 %, too: look at 16."),
    (lambda nodes: nodes in (2, 4), "{shown}. That is above 70 %, but so is a larger number."),
    otherwise=f"The table has no row for {{value:g}} nodes: choose one of {', '.join(map(str, TIMES))}.",
    unit="nodes", allowed=(1, 64), within=0, facts=_efficiency,
    yes=f"{{shown}}: exactly what was asked. At 32 it would be {TIMES[1] / TIMES[32] / 32:.0%}.",
), (
    "Speedup on n nodes is the time on one node divided by the time on n.",
    "Efficiency is the speedup divided by n: the part of the nodes that you pay for and use. At least 70 % "
    "takes 70 %, too.",
))  # fmt: skip

_SIGNATURE = ("break_even(start, speedup)", "a number of seconds")
_BUT = "Right where nodes help. But for a speedup of"

BREAK_EVEN = Exercise("05", "break-even", judges.in_turn(
    judges.by_function(
        *_SIGNATURE, lambda: ((60.0, 4.0), (60.0, 2.0), (10.0, 1.25), (300.0, 50.0), (0.0, 3.0)),
        lambda start, s: start * s / (s - 1),
        (lambda t, s: t, "that is the wait alone, but the one node works on while you wait."),
        (lambda t, s: t * s, "that forgets a part. Set work = start + work / speedup."),
        (lambda t, s: t / (s - 1), "that is the time the fast run takes, not its work."),
        (lambda t, s: t * (s - 1) / s, "upside down: more speedup must make asking pay sooner."),
        (lambda t, s: t * s / (1 - s), "the sign is wrong: asking saves work − work / speedup."),
        (lambda t, s: t / s, "that makes the queue run in parallel. It does not."),
        shown="For a wait of 60 s and a speedup of 4 you get {0:g} s: ",
        slack=1.0,  # second: a search in steps of one is right as well
        otherwise=lambda work, start, s: f"For a wait of {start:g} s and a speedup of {s:g} you get {work:g} "
        f"s of work. Put that in: staying takes {work:g} s, asking {start:g} + {work:g} / {s:g} = "
        f"{start + work / s:g} s, not the same.",
    ),
    judges.by_function(
        *_SIGNATURE, lambda: ((60.0, 1.0), (60.0, 0.8)), lambda *_: math.inf,
        otherwise=lambda work, _, s: f"{_BUT} {s:g} you say {work:g} s: no amount of work pays for nodes "
        "that do not help. Return float('inf') for a speedup of 1 or less.",
        stopped=lambda stop: f"{_BUT} 1 or less: {stop} Return float('inf') there.",
        yes="Work below start × S / (S − 1) is done sooner where it is. Even an endless speedup never pays "
        "for work shorter than the wait itself.",
    ),
), (
    "Staying takes `work` seconds. Asking takes start + work / speedup.",
    "Set the two equal and solve for work. For a speedup of 1 or less return float('inf').",
))  # fmt: skip

_PARTS = ("compute", "storage", "transfer", "worker start", "queue wait", "idle", "unexplained")
BARS = {
    "A": dict(zip(_PARTS, (84, 2, 1, 4, 720, 3, 2), strict=True)),
    "B": dict(zip(_PARTS, (84, 2, 1, 4, 0, 67, 2), strict=True)),
    "C": dict(zip(_PARTS, (84, 210, 1, 4, 0, 4, 2), strict=True)),
    "D": dict(zip(_PARTS, (84, 2, 31, 4, 0, 1, 58), strict=True)),
}
"""Rank-seconds of four runs of the same work on 8 nodes."""

_RIGHT = {"A": "ask for less", "B": "smaller chunks", "C": "a faster file system", "D": "larger chunks"}
REMEDIES = tuple(sorted({*_RIGHT.values(), "a faster program", "more nodes"}))
"""What can be done, as the lesson's table says it; two of them help none of the runs."""

_SAME = {
    "ask earlier": "ask for less", "ask for less, or earlier": "ask for less",
    "faster file system": "a faster file system", "fewer, larger files": "a faster file system",
    "a faster file system; fewer, larger files": "a faster file system",
}  # fmt: skip
_EVERY_CHUNK = "it waits for storage in every chunk, whatever its size."
_WHY_NOT = {
    ("B", "larger chunks"): "nodes waited for the last chunks, and larger ones make that worse.",
    ("D", "smaller chunks"): "time between tasks is paid for each, and smaller chunks mean more tasks.",
    ("C", "larger chunks"): _EVERY_CHUNK,
    ("C", "smaller chunks"): _EVERY_CHUNK,
    **{(run, "more nodes"): "more nodes add rank-seconds, and none of these runs lacks nodes."
       for run in BARS},
}  # fmt: skip


def _evidence(run: str, remedy: str) -> str:
    """A sentence: why `remedy` does not help the `run` of BARS."""
    worst = max(_PARTS[1:], key=BARS[run].__getitem__)
    why = _WHY_NOT.get((run, remedy), f'"{remedy}" does nothing about that.')
    return f"Most is lost as {worst} ({BARS[run][worst]:g} rank-seconds): {why}"


READ_THE_BARS = Exercise("05", "read the bars", judges.by_choice(
    "remedy", _RIGHT, REMEDIES, _evidence, same=_SAME,
    yes="Queue: a smaller request starts sooner. Idle: smaller chunks. Storage: a faster file system, or "
    "fewer, larger files. Time between tasks: larger chunks. The compute is the same in all four.",
), (
    "Compute is 84 rank-seconds in each: the work did not change. Find the largest other part.",
    "The table under \"Reading the picture\" says for each part what helps.",
))  # fmt: skip

_JOINS, _LOADS, _SENDING, _DEADLINE = 3.0, 6.0, 0.002, 120.0  # s


def bill(nodes: int, chunk_size: float) -> tuple[float, float]:
    """Modelled: seconds until 4 GiB of text are tokenised on `nodes` nodes, and the node-seconds billed.

    The queue gives a node every 3 s, which loads for 6 s. Every fourth shares its core: 3 MiB/s, the others
    4. The free node takes the next chunk of `chunk_size` bytes; each costs 5 ms, and Dask sends one every 2
    ms. A node is billed from its coming to the end of the run."""
    comes = [_JOINS * (node + 1) for node in range(nodes)]
    free = [(begin + _LOADS, node) for node, begin in enumerate(comes)]
    left, sent, end = float(_CORPUS), 0.0, 0.0
    while left > 0:
        size, (now, node) = min(chunk_size, left), heapq.heappop(free)
        sent = max(now, sent) + _SENDING
        done = sent - _SENDING + _OVERHEAD + size / (3 * _MIB if node % 4 == 3 else _RATE)
        left, end = left - size, max(end, done)
        heapq.heappush(free, (done, node))
    return end, sum(max(0.0, end - begin) for begin in comes)


def _billed(answer: object) -> SimpleNamespace:
    f = judges.read_dict(answer, nodes=64, chunk=None)
    size = units.parse_bytes(f.chunk) if isinstance(f.chunk, str) else f.chunk
    size = checks.number("chunk", size, 2**16, _CORPUS)
    f.end, seconds = bill(f.nodes, size)
    f.cost, f.size = round(seconds, 1), units.format_bytes(size)
    return f


_BILL = "{f.nodes} nodes, chunks of {f.size}: done after {f.end:.1f} s"

SPEND = Exercise("05", "spend", judges.by_facts(
    _billed,
    (lambda f: f.end > _DEADLINE, f"{_BILL}, later than {_DEADLINE:g} s. It would cost {{f.cost:,.0f}} "
     "node-seconds."),
    (lambda f: f.cost > 1250, _BILL + ", but for {f.cost:,.0f} node-seconds: come below 1,250."),
    yes=_BILL + " (modelled). To beat: 1,172.9 node-seconds, the best of chunks of 1, 2, 4, 8 ... MiB.",
    score=("cost", "node-seconds"),
), (
    "Each node loads for 6 s that are billed, so the fewest nodes that are in time are cheapest. How many?",
    "With 12 nodes and \"4 MiB\" it costs 1,175. Where does the last chunk end on each node?",
    "Sizes need not be powers of two: try lesson_05.bill(12, size) in a loop over sizes in bytes.",
))  # fmt: skip

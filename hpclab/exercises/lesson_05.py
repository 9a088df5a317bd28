"""Lesson 05: a chunk size, a number of nodes, the break-even of asking for more, and reading the bars."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from hpclab import checks, units
from hpclab.exercises import Exercise, Verdict, limits

_MIB = 2**20
_CORPUS, _NODES, _RATE, _OVERHEAD = 4096 * _MIB, 32, 4 * _MIB, 0.005  # bytes, nodes, bytes/s, s a task
_MOST_OVERHEAD, _MOST_IDLE = 0.01, 0.05


def _chunk_size(answer: object) -> Verdict:
    if isinstance(answer, str):
        answer = units.parse_bytes(answer)
    size = checks.number("The chunk size", answer, 0, 1e30, "bytes")
    if size > _CORPUS:
        return Verdict(False, f"There are only {units.format_bytes(_CORPUS)} of text: no chunk is larger.")
    if size < 1024:
        return Verdict(False, f"{size:g} bytes is not even one file: write the unit, such as '4 MiB'.")
    share = _CORPUS / _NODES
    task = size / _RATE
    shown = f"A chunk of {units.format_bytes(size)} is {units.format_seconds(task)} of work"
    overhead, idle = _OVERHEAD / task, size / share
    if size > share:
        return Verdict(
            False,
            f"{shown}, and the text makes only {math.ceil(_CORPUS / size)} for {_NODES} nodes: "
            "some nodes never get any.",
        )
    if idle > _MOST_IDLE:
        return Verdict(
            False,
            f"{shown}, and a node works {share / _RATE:g} s in all. Nodes that are done may wait one whole "
            f"chunk for the last one: {idle:.1%} of the run."
            + " One chunk for each node is the worst of these."
            * (size == share),
        )
    if overhead > _MOST_OVERHEAD:
        return Verdict(
            False,
            f"{shown}, and sending it out costs {units.format_seconds(_OVERHEAD)} on top: {overhead:.2%}. "
            "Balance is not the trouble here, the cost of each task is.",
        )
    return Verdict(
        True,
        f"{shown}: {overhead:.2%} of overhead, and at most {idle:.1%} of waiting at the end. Anything from "
        "2 to 6.4 MiB holds both: the range is wide, so nobody needs the exact optimum.",
    )


CHUNK_SIZE = Exercise(
    "chunk size",
    "4 GiB of text, 32 nodes that tokenise 4 MiB a second each, 5 ms of overhead for each task. Which "
    "chunk size keeps the overhead at most 1 % of the work and the wait for the last chunk at most 5 % of "
    "the run?",
    _chunk_size,
    (
        "Two limits: one from below (each task must be worth its overhead) and one from above (balance).",
        "From below: chunk / (4 MiB/s) must be at least 100 × 5 ms.",
        "From above: a node has 4 GiB / 32 to do, and one chunk must be at most 5 % of that.",
    ),
)


TIMES: Mapping[int, float] = {1: 640.0, 2: 329.0, 4: 174.0, 8: 98.0, 16: 62.0, 32: 49.0, 64: 53.0}
"""Seconds by nodes of a run to judge: modelled, with the USL for σ = 0.027 and κ = 0.00064, and rounded."""

_EFFICIENT = 0.7


def _nodes_that_pay(answer: object) -> Verdict:
    nodes = checks.integer("The number of nodes", answer, 1, 64, "nodes")
    if nodes not in TIMES:
        return Verdict(
            False, f"The table has no row for {nodes} nodes: choose one of {', '.join(map(str, TIMES))}."
        )
    speedup = TIMES[1] / TIMES[nodes]
    shown = f"{nodes} nodes: {speedup:.1f}× as fast, an efficiency of {speedup / nodes:.0%}"
    if nodes == 1:
        return Verdict(False, f"{shown}. One node is always 100 % efficient; more of them still pay here.")
    if nodes == 64:
        return Verdict(False, f"{shown}, and slower than 32. More nodes do not even help there.")
    if nodes == min(TIMES, key=TIMES.__getitem__):
        return Verdict(False, f"{shown}. It is the fastest run, and most of what it costs is wasted.")
    if nodes == 16:
        step = TIMES[8] / TIMES[16] / 2
        return Verdict(
            False,
            f"{shown}. Did you compare with 8 nodes ({step:.0%}), not with one? Efficiency is speedup over "
            "one node, divided by the nodes.",
        )
    if nodes < 8:
        return Verdict(False, f"{shown}. That is above 70 %, but so is a larger number of nodes.")
    return Verdict(True, f"{shown}. At 16 it would be {TIMES[1] / TIMES[16] / 16:.0%}: below what was asked.")


NODES_THAT_PAY = Exercise(
    "nodes that pay",
    "lesson_05.TIMES holds the seconds a run took on 1 to 64 nodes. What is the largest number of nodes "
    "that still runs with a parallel efficiency of at least 70 %?",
    _nodes_that_pay,
    (
        "Speedup on n nodes is the time on one node divided by the time on n.",
        "Efficiency is the speedup divided by n: the part of the nodes that you pay for and use.",
    ),
)


_CASES = ((60.0, 4.0), (60.0, 2.0), (10.0, 1.25), (300.0, 50.0), (0.0, 3.0))
_NEVER = ((60.0, 1.0), (60.0, 0.8))

_Formula = Callable[[float, float], float]
_MISTAKES: tuple[tuple[_Formula, str], ...] = (
    (lambda start, s: start, "that is the wait alone, but the one node works on while you wait."),
    (lambda start, s: start * s, "that forgets work / speedup. Set work = start + work / speedup."),
    (lambda start, s: start / (s - 1), "that is the time the fast run takes, not the work on one node."),
    (lambda start, s: start * (s - 1) / s, "it is upside down: more speedup must make asking pay sooner."),
    (lambda start, s: start * s / (1 - s), "the sign is wrong: work − work / speedup is what asking saves."),
    (lambda start, s: start / s, "that makes the queue run in parallel. It does not."),
)


def _break_even(answer: object) -> Verdict:
    if not callable(answer):
        return Verdict(False, "The answer is a function: def break_even(start, speedup): return ...")
    values = [_seconds(value) for value in limits.call_each(answer, _CASES, seconds=2)]
    expected = [start * speedup / (speedup - 1) for start, speedup in _CASES]
    if not _same(values, expected):
        for formula, sentence in _MISTAKES:
            if _same(values, [formula(*case) for case in _CASES]):
                return Verdict(
                    False, f"For a wait of 60 s and a speedup of 4 you get {values[0]:g} s: {sentence}"
                )
        return Verdict(
            False,
            f"For a wait of 60 s and a speedup of 4 you get {values[0]:g} s of work. Put that in: staying "
            f"takes {values[0]:g} s, asking 60 + {values[0]:g} / 4 = {60 + values[0] / 4:g} s, not the same.",
        )
    try:
        never = [_seconds(value) for value in limits.call_each(answer, _NEVER, seconds=2)]
    except (limits.Stopped, ValueError) as stop:
        return Verdict(
            False,
            f"Right where nodes help. But for a speedup of 1 or less: {stop} Return math.inf there.",
        )
    if not all(value == math.inf for value in never):
        return Verdict(
            False,
            f"Right where nodes help. But for a speedup of 1 you say {never[0]:g} s, for 0.8 {never[1]:g} s: "
            "no amount of work pays for nodes that do not help. Return math.inf for a speedup of 1 or less.",
        )
    return Verdict(
        True,
        "Work below start × S / (S − 1) is done sooner where it is. Notice that even an endless speedup "
        "never pays for work shorter than the wait itself.",
    )


def _seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        shown = "nothing (is the return missing?)" if value is None else f"{value!r:.40}"
        raise ValueError(f"The function must return a number of seconds, not {shown}.")
    return float(value)


def _same(values: list[float], expected: list[float]) -> bool:
    return all(math.isclose(v, e, rel_tol=0.01, abs_tol=0.01) for v, e in zip(values, expected, strict=True))


BREAK_EVEN = Exercise(
    "break-even",
    "You have one node now. More nodes come after `start` seconds, and then do all of the work `speedup` "
    "times as fast. Write break_even(start, speedup): from how many seconds of work (on the one node) is "
    "asking sooner?",
    _break_even,
    (
        "Staying takes `work` seconds. Asking takes start + work / speedup.",
        "Set the two equal and solve for work. What if the speedup is 1 or less?",
    ),
)


_PARTS = ("compute", "storage", "transfer", "worker start", "queue wait", "idle", "unexplained")
BARS: Mapping[str, Mapping[str, float]] = {
    "A": dict(zip(_PARTS, (84, 2, 1, 4, 0, 67, 2), strict=True)),
    "B": dict(zip(_PARTS, (84, 2, 31, 4, 0, 1, 58), strict=True)),
    "C": dict(zip(_PARTS, (84, 2, 1, 4, 720, 3, 2), strict=True)),
    "D": dict(zip(_PARTS, (84, 210, 1, 4, 0, 4, 2), strict=True)),
}
"""Rank-seconds of four runs of the same work on 8 nodes."""

_REMEDIES = {
    "A": "smaller chunks",
    "B": "larger chunks",
    "C": "ask earlier, or for less",
    "D": "faster reading",
}
REMEDIES = (*_REMEDIES.values(), "more nodes")
"""What can be done; one of these for each run, and one of them helps none."""

_WHY_NOT = {
    ("A", "larger chunks"): "nodes waited for the last chunks, and larger ones make that worse.",
    ("B", "smaller chunks"): "time between tasks is paid for each, and smaller chunks mean more tasks.",
    ("D", "larger chunks"): "it waits for storage in every chunk, whatever its size.",
    ("D", "smaller chunks"): "it waits for storage in every chunk, whatever its size.",
}


def _remedies(answer: object) -> Verdict:
    if not isinstance(answer, Mapping) or {str(key).upper() for key in answer} != set(BARS):
        return Verdict(False, "The answer is a dict with one remedy for each of A, B, C and D.")
    given = {str(key).upper(): " ".join(str(value).lower().split()) for key, value in answer.items()}
    for run, remedy in sorted(given.items()):
        if remedy not in REMEDIES:
            return Verdict(False, f"Run {run}: a remedy must be one of {'; '.join(REMEDIES)}.")
        worst = max((part for part in BARS[run] if part != "compute"), key=BARS[run].__getitem__)
        if remedy == "more nodes":
            return Verdict(
                False,
                f"Run {run}: more nodes add rank-seconds to the bar, and none of these runs lacks nodes. "
                f"Its largest part beside compute is {worst}.",
            )
        if remedy != _REMEDIES[run]:
            why = _WHY_NOT.get((run, remedy), f'"{remedy}" does nothing about that.')
            return Verdict(
                False, f"Run {run} lost most as {worst} ({BARS[run][worst]:g} rank-seconds): {why}"
            )
    return Verdict(
        True,
        "Idle: smaller chunks. Time between tasks: larger ones. Queue: a smaller request starts sooner. "
        "Storage: fewer, larger files. The compute is the same in all four.",
    )


READ_THE_BARS = Exercise(
    "read the bars",
    "lesson_05.BARS holds the rank-seconds of four runs of the same work on 8 nodes. Choose for each the "
    "remedy from lesson_05.REMEDIES that goes for its largest loss.",
    _remedies,
    (
        "Compute is 84 rank-seconds in each: the work did not change. Find the largest other part.",
        "Idle at the end is a balance problem; time between tasks is paid once for each task.",
    ),
)

"""The numbers that lessons ask for before they measure, and where to look first when one was far off.

predict.ask(guess := asked.one_core())
...
guess.compare(seconds)
"""

from __future__ import annotations

from hpclab.exercises.prediction import Prediction


def one_core() -> Prediction:
    return Prediction(
        "Eight products on one core", "s", 1e-4, 1e5, "00",
        too_high="the operations in a tick: vector units finish 8 to 32 of them in one",
        too_low="the operations in a tick: few libraries reach what the vector units could do",
    )  # fmt: skip


def triad(threads: int) -> Prediction:
    return Prediction(
        f"Speedup of triad on {threads} threads", "×", 0.01, 1000, "01",
        too_high="the bytes per second in section 3: once memory gives no more, more threads only wait",
        too_low="the bytes per second in section 3: one core alone cannot draw all that memory gives",
    )  # fmt: skip


def sectors() -> Prediction:
    return Prediction(
        "Sectors for x[4 * i]", "sectors", 0, 1000, "02",
        too_high="how many of the numbers lie in one sector of 32 bytes: every fourth is still two",
        too_low="what moves, not what is asked for: a sector moves whole, for two numbers of its eight",
    )  # fmt: skip


def share_of_peak() -> Prediction:
    return Prediction(
        "Share of the float32 rate in a vector addition", "%", 0.001, 100, "03",
        too_high="its bytes: twelve of them for one operation, and memory is what it waits for",
        too_low="its bytes: 1/12 FLOP per byte, times the bandwidth, over the rate",
    )  # fmt: skip


def climb() -> Prediction:
    return Prediction(
        "Speedup of the matrix product, first to third step", "×", 0.1, 10_000, "03",
        too_high="the cores: the third step's threads share memory, and have no more units than there are",
        too_low="the order of the loops: the first step reads a column of b, a cache line for each number",
    )  # fmt: skip


def latency() -> Prediction:
    return Prediction(
        "From sbatch to the end", "s", 0, 86_400, "04",
        too_high="the line that follow printed: how long it waited, and how long it ran",
        too_low="the scheduler: it looks at the queue in rounds, and so do we",
    )  # fmt: skip


def lines() -> Prediction:
    return Prediction(
        "Lines of output", "lines", 0, 100, "04",
        too_high="what runs once: the script itself, on the first node only",
        too_low="srun: it starts its command once for each task",
    )  # fmt: skip


def whole_array() -> Prediction:
    return Prediction(
        "The whole array", "s", 0, 86_400, "04",
        too_high="how many tasks ran at once: the picture shows the rounds",
        too_low="the free cores: six tasks on three cores are two rounds, and each job has a start",
    )  # fmt: skip


def chain() -> Prediction:
    return Prediction(
        "Jobs of the chain that run", "jobs", 0, 4, "04",
        too_high="report: afterok waits for a success that cannot come any more",
        too_low="clean-up: afterany only wants an end, and a failure is one",
    )  # fmt: skip


def four_nodes() -> Prediction:
    return Prediction(
        "Speedup at 4 nodes", "×", 0.1, 64, "05",
        too_high="the cores: nodes that share them take turns; then at the bars that are not compute",
        too_low="the bars: which part did you think of that is hardly there?",
    )  # fmt: skip


def eight_bytes() -> Prediction:
    return Prediction(
        "Time of a message of 8 bytes", "µs", 0.001, 1e6, "06",
        too_high="what is not on the way: between processes of one machine there is no wire and no switch",
        too_low="software: system calls, a copy, and waking the process that waits; the bytes cost nothing",
    )  # fmt: skip

"""The predictions that lessons ask for before they measure, and where to look first after a wrong one.

predict.ask(guess := asked.one_core()) ... guess.compare(seconds)"""

from functools import partial

from hpclab.exercises.prediction import Prediction

# fmt: off
four_processes = partial(Prediction, "Speedup with 4 processes", "×", 0.1, 4, "00",
    "how many cores this process may use (section 1): more processes than that take turns; where there are "
    "enough, at what it costs to hand the work out",
    "the points: what does a second process add where there is a second core?")
one_core = partial(Prediction, "Eight products on one core", "s", 1e-4, 1e5, "00",
    "the operations in a tick: vector units finish 8 to 32 of them in one",
    "the operations in a tick: few libraries reach what the vector units could do")
triad = partial(Prediction, "Speedup of triad on all cores", "×", 0.01, 1000, "01",
    "the bytes per second in section 3: once memory gives no more, more threads only wait",
    "the bytes per second in section 3: one core alone cannot draw all that memory gives")
sectors = partial(Prediction, "Sectors for x[4 * i]", "sectors", 0, 1000, "02",
    "how many of the numbers lie in one sector of 32 bytes: every fourth is still two",
    "what moves, not what is asked for: a sector moves whole, for two numbers of its eight")
share_of_peak = partial(Prediction, "Share of the float32 rate in a vector addition", "%", 0.001, 100, "03",
    "its bytes: twelve of them for one operation, and memory is what it waits for",
    "its bytes: 1/12 FLOP per byte, times the bandwidth, over the rate")
climb = partial(Prediction, "Speedup of the matrix product, first to third step", "×", 0.1, 10_000, "03",
    "the cores: the third step's threads have no more units than there are, and share one memory",
    "the order of the loops: the first step reads a column of b, a cache line for each number")
latency = partial(Prediction, "From sbatch to the end", "s", 0, 86_400, "04",
    "the line that `follow` printed: how long the job waited, and how long it ran",
    "the scheduler: it looks at the queue in rounds, and so do we")
lines = partial(Prediction, "Lines of output", "lines", 0, 100, "04",
    "what runs once: the script itself, on the first node only",
    "`srun`: it starts its command once for each task")
whole_array = partial(Prediction, "The whole array", "s", 0, 86_400, "04",
    "how many tasks ran at once: the picture shows the rounds",
    "the free cores: six tasks on three cores are two rounds, and each job has a start")
chain = partial(Prediction, "Jobs of the chain that run", "jobs", 0, 4, "04",
    "`report`: afterok waits for a success that cannot come any more",
    "`clean-up`: afterany only wants an end, and a failure is one")
four_nodes = partial(Prediction, "Speedup at 4 nodes", "×", 0.1, 64, "05",
    "the cores: nodes that share them take turns; then at the bars that are not compute",
    "the bars: which part did you fear that is hardly there?")
eight_bytes = partial(Prediction, "Time of a message of 8 bytes", "µs", 0.001, 1e6, "06",
    "what is not on the way: between processes of one machine there is no wire and no switch",
    "software: system calls, a copy, and waking the process that waits; the bytes cost next to nothing")
shards_gain = partial(Prediction, "An epoch from small files over one from shards", "×", 0.01, 10_000, "07",
    "what a disk of this machine does: it opens a file in some microseconds, and a network has no part in it",
    "the opens: each small file is found, opened and closed for a few hundred bytes")
eight_clients = partial(Prediction, "Bandwidth of 8 clients together", "MB/s", 0.01, 1e6, "07",
    "the limits in turn: eight links, four servers, and the opens of the metadata server; the least counts",
    "what clients share: each of them brings a link of its own")
busy = partial(Prediction, "Part of the time that two workers keep it busy", "%", 0.1, 100, "07",
    "how long a worker needs for a batch: it must not be longer than two steps",
    "what the workers do while the accelerator computes: they fetch the next batches")
exposed_share = partial(Prediction, "Exposed part of a step over 1 Gb/s", "%", 0.001, 100, "08",
    "what the link has to do: 7.4 MB, once in and once out, at 125 MB/s; and how long the rest of a step is",
    "the computing: two ranks compute on cores of this machine, and that is most of a step here")
four_ranks = partial(Prediction, "Weak scaling efficiency, 4 ranks", "%", 0.1, 200, "08",
    "the cores: four ranks on fewer cores take turns, and a step that waits for them is longer",
    "what overlaps: the wire works while a rank computes, and a rank that waits gives its core away")
state_of_seven = partial(Prediction, "State of 7 billion parameters", "GB", 1, 10_000, "09",
    "what is state: activations are not, and grow with the batch",
    "Adam: beside 2 bytes of the weight and 2 of its gradient it holds 12 a parameter")
idle_part = partial(Prediction, "Idle part of a pipeline of 2 ranks, 8 micro-batches", "%", 0.1, 100, "10",
    "how few steps the pipe takes to fill: p - 1 of them, once, shared by m micro-batches",
    "what else a rank waits for: cores that it shares, the other stage's output layer, and messages")

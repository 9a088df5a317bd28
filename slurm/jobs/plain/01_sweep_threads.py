"""A loop that Numba shares over threads, timed on 1, 2, ... of them."""
# Run: python 01_sweep_threads.py

import statistics
import time

import numba
import numpy as np
from numba import njit, prange


@njit(parallel=True)
def iterate(values, steps):
    for i in prange(values.size):  # put your own loop here
        x = values[i]
        for _ in range(steps):
            x = 3.7 * x * (1.0 - x)
        values[i] = x


values = np.linspace(0.1, 0.9, 100_000)
most = numba.config.NUMBA_NUM_THREADS  # the cores this process may use
counts = range(1, min(most, 8) + 1)
times = {threads: [] for threads in counts}
iterate(values.copy(), 100)  # compiles: not counted

for _ in range(5):  # round all counts, so that a neighbour slows each alike
    for threads in counts:
        numba.set_num_threads(threads)
        begin = time.perf_counter()
        iterate(values, 100)
        times[threads].append(time.perf_counter() - begin)

one = statistics.median(times[1])
for threads, seconds in times.items():
    each = " ".join(f"{1e3 * second:.2f}" for second in seconds)
    speedup = one / statistics.median(seconds)
    print(f"threads {threads}: {speedup:.2f} times as fast; ms: {each}")

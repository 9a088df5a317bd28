"""The two roofs of one core, and a kernel under them: put in your own."""
# Run: python 03_roofline.py

import timeit

import numpy as np
from numba import njit


@njit(fastmath={"contract"})  # or it would find a shorter formula
def multiply_add(x, rounds):  # 4,096 numbers, in the core's own cache
    for _ in range(rounds):
        for i in range(x.size):
            value = x[i]
            for _ in range(8):
                value = value * np.float32(0.999) + np.float32(0.5)
            x[i] = value


@njit(fastmath=True)
def kernel(x, y):  # yours: 3 operations on an item, read and written once
    for i in range(x.size):
        y[i] = x[i] * x[i] * np.float32(0.5) + np.float32(1)


def best(work, *arguments):
    work(*arguments)  # the first run compiles
    return min(timeit.repeat(lambda: work(*arguments), number=1, repeat=20))


x, y = np.ones((2, 2**24), np.float32)
bandwidth = 2 * x.nbytes / best(np.multiply, x, np.float32(2), y)  # streams
rate = 2 * 8 * 2000 * 4096 / best(multiply_add, np.ones(4096, np.float32), 2000)
flops, moved, seconds = 3 * x.size, 2 * x.nbytes, best(kernel, x, y)
share = flops / seconds / min(rate, flops / moved * bandwidth)
print(f"{bandwidth / 1e9:.1f} GB/s, {rate / 1e9:.1f} GFLOP/s")
print(f"ridge {rate / bandwidth:.1f}, kernel {flops / moved:.3f} FLOP per byte")
print(f"The kernel reaches {share:.0%} of its roof.")

"""How long a read of every n-th number takes on this GPU, in CUDA events."""
# Run: python 02_time_a_kernel.py

import numpy as np
from numba import config, cuda

ITEMS = 2**23


@cuda.jit
def every(stride, x, out):
    i = cuda.grid(1)
    if i < out.size:
        out[i] = x[stride * i]


if config.ENABLE_CUDASIM:
    x, out = np.arange(4096, dtype=np.float32), np.zeros(128, np.float32)
    every[1, 128](32, x, out)
    print("Right:", np.array_equal(out, x[::32]))
    print("A simulator knows no speed: run this where there is a GPU.")
    raise SystemExit

x = cuda.to_device(np.ones(32 * ITEMS, dtype=np.float32))  # 1 GiB
out = cuda.device_array(ITEMS, np.float32)
start, end = cuda.event(), cuda.event()
for stride in (1, 2, 4, 8, 16, 32):
    every[ITEMS // 128, 128](stride, x, out)  # compiled before it is timed
    times = []
    for _ in range(20):
        start.record()
        every[ITEMS // 128, 128](stride, x, out)
        end.record()
        end.synchronize()
        times.append(cuda.event_elapsed_time(start, end))
    print(f"stride {stride:2}: {1000 * np.median(times):6.0f} µs")

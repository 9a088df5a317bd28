"""Time key press to changed pixels of the kernel tracer's step slider, in a real JupyterLab and Chromium.

    python benchmarks/tracer_latency.py [--presses 60]

The kernel turns a tile of 32 × 32 numbers through shared memory, whose steps draw up to 32 rows of memory;
the clock is that of `widget_latency.py`. Target: 95th percentile under 100 ms.
"""

import argparse
import json
import sys
import time

import widget_latency

SOURCE = """
import numpy as np
from hpclab.kernels.cuda import cuda
from hpclab.widgets.kernel_tracer import KernelTracer
@cuda.jit
def turn_tile(a, out):
    tile = cuda.shared.array((32, 32), np.float32)
    x, y = cuda.threadIdx.x, cuda.threadIdx.y
    for _ in range(20):
        tile[y, x] = a[y, x]
        cuda.syncthreads()
        out[x, y] = tile[x, y]
        cuda.syncthreads()
square = np.zeros((32, 32), np.float32)
KernelTracer.of(turn_tile, 1, (32, 32), square, square.copy())
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--presses", type=int, default=60)
    options = parser.parse_args()
    browsers = widget_latency.driver()
    with browsers.running_browser() as browser, browsers.running_lab(browser) as lab:
        lab.write_notebook("latency.ipynb", SOURCE.strip())
        notebook = lab.open_notebook("latency.ipynb")
        notebook.run_all(120)
        notebook.page.evaluate(widget_latency.WATCH, ".widget-html-content:has(> svg[role=img])")
        times = []
        for _ in range(options.presses + 5):
            times.append(widget_latency.press(notebook.page, "Step", "ArrowRight"))
            time.sleep(0.1)
        found = widget_latency.summary(times[5:])
    print(json.dumps(found))
    return 0 if found["p95_ms"] < 100 else 1


if __name__ == "__main__":
    sys.exit(main())

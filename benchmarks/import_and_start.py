"""Time `import hpclab` against `import numpy`, and `hpclab lab` until its JupyterLab answers.

    python benchmarks/import_and_start.py [--repeats 7]

The imports take turns in fresh interpreters and the minima are compared: the goal is under 1.5 × numpy.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time


def seconds_to_import(name):
    code = f"import time; t = time.perf_counter(); import {name}; print(time.perf_counter() - t)"
    return float(subprocess.check_output([sys.executable, "-c", code], text=True))


def seconds_to_open(home):
    """Seconds until `hpclab lab` answers, without Slurm, whose own start `slurm_up.py` measures."""
    command = [sys.executable, "-m", "hpclab.cli", "lab", "--json", "--no-browser", "--no-slurm"]
    begin = time.monotonic()
    lab = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"HOME": home})
    json.loads(lab.stdout.readline())
    seconds = time.monotonic() - begin
    lab.terminate()
    lab.communicate(timeout=60)
    return seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    ours, theirs = [], []
    for _ in range(options.repeats):
        ours.append(seconds_to_import("hpclab"))
        theirs.append(seconds_to_import("numpy"))
    print(
        f"import hpclab: {min(ours) * 1e3:.1f} ms, import numpy: {min(theirs) * 1e3:.1f} ms, "
        f"ratio {min(ours) / min(theirs):.3f} (minima of {options.repeats})"
    )
    with tempfile.TemporaryDirectory() as home:
        opened = [seconds_to_open(home) for _ in range(3)]
    print(f"hpclab lab until it answers: median {statistics.median(opened):.1f} s of {len(opened)}")


if __name__ == "__main__":
    main()

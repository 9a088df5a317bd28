"""Time `hpclab slurm up` until its nodes are idle, and `down`: seconds, median of several repeats.

    python benchmarks/slurm_up.py [--nodes 4] [--repeats 10]

Each repeat starts the command line anew, as a learner would, in a directory of its own, so a Slurm that
already runs on this machine is neither used nor touched. The goal is under 5 s to idle nodes.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--nodes", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=10)
    options = parser.parse_args()
    place = tempfile.mkdtemp(prefix="hpl-", dir="/tmp")
    environment = os.environ | {"HPCLAB_STATE_DIR": place, "HPCLAB_SLURM": "local"}
    command = [sys.executable, "-m", "hpclab.cli", "slurm"]
    ups, downs = [], []
    try:
        for _ in range(options.repeats):
            ups.append(_seconds([*command, "up", f"--nodes={options.nodes}"], environment))
            status = subprocess.run(
                [*command, "status", "--json"], env=environment, check=True, capture_output=True, text=True
            )
            states = json.loads(status.stdout)["nodes"]
            assert list(states.values()) == ["idle"] * options.nodes, states
            downs.append(_seconds([*command, "down"], environment))
    finally:
        subprocess.run([*command, "down"], env=environment, check=False, capture_output=True)
        shutil.rmtree(place, ignore_errors=True)
    for name, times in (("up to idle nodes", ups), ("down", downs)):
        print(
            f"{name}: median {statistics.median(times):.2f} s, from {min(times):.2f} to {max(times):.2f} s "
            f"({options.nodes} nodes, {options.repeats} repeats, {os.cpu_count()} cores)"
        )


def _seconds(command: list[str], environment: dict[str, str]) -> float:
    begin = time.monotonic()
    subprocess.run(command, env=environment, check=True, capture_output=True)
    return time.monotonic() - begin


if __name__ == "__main__":
    main()

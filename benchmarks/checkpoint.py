"""Time saving and loading a checkpoint, its checksums, and PyTorch's own save and load beside it.

python benchmarks/checkpoint.py [--megabytes 200] [--repeats 5] [--folder .]
"""

import argparse
import hashlib
import json
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable

import torch
import torch.distributed.checkpoint as dcp

from hpclab.storage.checkpoint import Checkpoints


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--folder", default=".", help="where the checkpoints are made, and removed again")
    asked = parser.parse_args()
    state = {f"layer{number}": torch.randn(asked.megabytes * 12_500) for number in range(20)}
    seconds: dict[str, list[float]] = defaultdict(list)

    def timed(name: str, call: Callable[..., object], *arguments: object, **options: object) -> None:
        begin = time.perf_counter()
        call(*arguments, **options)
        seconds[name].append(time.perf_counter() - begin)

    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        checkpoints = Checkpoints(f"{folder}/ours", keep=1, largest=10**12)
        for _ in range(asked.repeats):
            timed("save", checkpoints.save, 1, state)
            timed("save_in_background returns", checkpoints.save_in_background, 1, state)
            timed("and is complete after", checkpoints.wait)
            timed("load", checkpoints.load, state)
            timed("PyTorch's save", dcp.save, state, checkpoint_id=f"{folder}/theirs")
            timed("PyTorch's load", dcp.load, state, checkpoint_id=f"{folder}/theirs")
            timed("SHA-256 in memory", lambda: [hashlib.sha256(each.numpy()) for each in state.values()])
    for name, times in seconds.items():
        median, times = statistics.median(times), [round(each, 3) for each in times]
        print(json.dumps({"what": name, "MB/s": round(asked.megabytes / median), "seconds": times}))


if __name__ == "__main__":
    main()

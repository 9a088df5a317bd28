"""DDP through the pool against the same function under bare torchrun: tokens a second, in turn.

    python benchmarks/ddp_against_torchrun.py [--ranks 2] [--rounds 7] [--steps 40] [--backend local|slurm]

Both train the course's GPT with one thread a rank over loopback. A round is a run of each; the ratio is the
median of the rounds' ratios, so that a neighbour on this machine slows both. CPU time per step is shown too:
what the pool itself cost would be in there, however busy the machine is.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time

import torch
import torch.distributed as dist
from dask.system import CPU_COUNT
from torch.nn.parallel import DistributedDataParallel

from hpclab.cluster import Pool, threads
from hpclab.models.transformer import Transformer
from hpclab.workloads import gpt

SHAPE = Transformer(layers=4, hidden=128, heads=4, sequence=128, vocabulary=2048)
BATCH, WARM_UP = 4, 5  # of a rank; steps


def train(steps: int) -> dict[str, float]:
    """On a rank: tokens per second of all ranks, and this rank's CPU seconds a step."""
    model = DistributedDataParallel(gpt.GPT(SHAPE))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    tokens = torch.arange(100_000) ** 2 % SHAPE.vocabulary
    rank, ranks = dist.get_rank(), dist.get_world_size()
    for step in range(steps + WARM_UP):
        if step == WARM_UP:
            dist.barrier()
            begin, cpu = time.perf_counter(), time.process_time()
        inputs, targets = gpt.batches(tokens, BATCH * ranks, SHAPE.sequence, step, rank, ranks)
        optimizer.zero_grad()
        gpt.loss(model(inputs), targets).backward()
        optimizer.step()
    dist.barrier()
    wall, cpu = time.perf_counter() - begin, time.process_time() - cpu
    return {"tokens/s": steps * BATCH * ranks * SHAPE.sequence / wall, "CPU seconds": cpu / steps}


def under_torchrun(ranks: int, steps: int) -> dict[str, float]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}"]
    environment = os.environ | threads.environment(1) | {"GLOO_SOCKET_IFNAME": "lo"}
    command += [__file__, f"--steps={steps}"]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--backend", default="local", choices=("local", "slurm"))
    asked = parser.parse_args()
    if "TORCHELASTIC_RUN_ID" in os.environ:  # we are a rank that under_torchrun started
        dist.init_process_group("gloo")
        found = train(asked.steps)
        if dist.get_rank() == 0:
            print(json.dumps(found))
        dist.destroy_process_group()
        return
    runs: dict[str, list[dict[str, float]]] = {"pool": [], "torchrun": []}
    with Pool(asked.ranks, backend=asked.backend) as pool:
        for turn in range(2 * asked.rounds):
            if turn % 4 in (0, 3):  # each is first as often as the other
                runs["pool"].append(pool.run(train, asked.steps)[0])
            else:
                runs["torchrun"].append(under_torchrun(asked.ranks, asked.steps))
    shown = {
        "machine": f"{platform.node()}: {CPU_COUNT} cores, Python {platform.python_version()}",
        "ranks": asked.ranks, "backend": asked.backend, "load": round(os.getloadavg()[0], 1),
    }  # fmt: skip
    for quantity, digits in (("tokens/s", 0), ("CPU seconds", 4)):
        pairs = list(zip(*([run[quantity] for run in runs[name]] for name in runs), strict=True))
        for name, values in zip(runs, zip(*pairs, strict=True), strict=True):
            shown[f"{quantity}, {name}"] = [round(value, digits) for value in values]
        ratio = statistics.median(ours / theirs for ours, theirs in pairs)
        shown[f"{quantity}, pool / torchrun"] = round(ratio, 3)
    print(json.dumps(shown, indent=1))


if __name__ == "__main__":
    main()

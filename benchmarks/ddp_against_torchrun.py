"""Compare DDP through the pool with the same function under bare torchrun: tokens a second, in turn.

    python benchmarks/ddp_against_torchrun.py [--ranks 2] [--turns 30] [--steps 10] [--backend local|slurm]

Both train the course's GPT with one thread a rank over loopback, and both are there all the time: one trains
for some steps while the other sleeps, and then the other. A neighbour on this machine slows both alike. The
ratio is the median over the turns. CPU time shows what the pool itself costs, however busy the machine is.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from hpclab.cluster import Pool, threads
from hpclab.models.transformer import Transformer
from hpclab.workloads import gpt

SHAPE = Transformer(layers=4, hidden=128, heads=4, sequence=128, vocabulary=2048)
BATCH = 4  # of a rank


def train(folder: str, turns: int, steps: int, pool: bool) -> list[tuple[float, float]]:
    """Run on a rank: for each turn tokens per second of all ranks and this rank's CPU seconds a step. Files
    in `folder` hand the turn from the pool (`pool` True) to torchrun and back."""
    model = DistributedDataParallel(gpt.GPT(SHAPE))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    tokens = torch.arange(100_000) ** 2 % SHAPE.vocabulary
    rank, ranks = dist.get_rank(), dist.get_world_size()
    found = []
    for turn in range(turns + 1):  # the first warms up
        others = Path(folder, f"torchrun-{turn - 1}" if pool else f"pool-{turn}")
        while not (others.exists() or (pool and turn == 0)):
            time.sleep(0.005)
        dist.barrier()
        begin, cpu = time.perf_counter(), time.process_time()
        for step in range(turn * steps, (turn + 1) * steps):
            inputs, targets = gpt.batches(tokens, BATCH * ranks, SHAPE.sequence, step, rank, ranks)
            optimizer.zero_grad()
            gpt.loss(model(inputs), targets).backward()
            optimizer.step()
        dist.barrier()
        wall, cpu = time.perf_counter() - begin, time.process_time() - cpu
        found.append((steps * BATCH * ranks * SHAPE.sequence / wall, cpu / steps))
        if rank == 0:
            Path(folder, f"{'pool' if pool else 'torchrun'}-{turn}").touch()
    return found[1:]


def under_torchrun(ranks: int, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}"]
    environment = os.environ | threads.environment(1) | {"GLOO_SOCKET_IFNAME": "lo"}
    return subprocess.Popen(
        [*command, __file__, *options], env=environment, stdout=subprocess.PIPE, text=True
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, usual in (("--ranks", 2), ("--turns", 30), ("--steps", 10)):
        parser.add_argument(name, type=int, default=usual)
    parser.add_argument("--backend", default="local", choices=("local", "slurm"))
    parser.add_argument("--folder", help=argparse.SUPPRESS)  # what we give ourselves under torchrun
    asked = parser.parse_args()
    if asked.folder:
        dist.init_process_group("gloo")
        found = train(asked.folder, asked.turns, asked.steps, False)
        if dist.get_rank() == 0:
            print(json.dumps(found))
        dist.destroy_process_group()
        return
    with tempfile.TemporaryDirectory() as folder, Pool(asked.ranks, backend=asked.backend) as pool:
        options = f"--folder={folder}", f"--turns={asked.turns}", f"--steps={asked.steps}"
        with under_torchrun(asked.ranks, *options) as bare:
            try:
                ours = pool.run(train, folder, asked.turns, asked.steps, True)[0]
                theirs = json.loads(bare.communicate()[0])
            finally:
                bare.terminate()
    shown: dict[str, object] = {"ranks": asked.ranks, "backend": asked.backend, "load": os.getloadavg()[0]}
    for place, quantity in enumerate(("tokens/s", "CPU seconds a step")):
        one, other = ([turn[place] for turn in turns] for turns in (ours, theirs))
        ratios = [mine / bare for mine, bare in zip(one, other, strict=True)]
        shown[quantity] = {
            "pool": round(statistics.median(one), 4), "torchrun": round(statistics.median(other), 4),
            "pool / torchrun, quartiles": [round(each, 3) for each in statistics.quantiles(ratios)],
        }  # fmt: skip
    print(json.dumps(shown, indent=1))


if __name__ == "__main__":
    main()

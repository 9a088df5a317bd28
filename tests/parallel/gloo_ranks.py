"""Processes with gloo between them; every group of 1 to all of them runs every algorithm and collective.

python gloo_ranks.py 17; fails with what went wrong. Forked after torch is loaded, so that 17 ranks cost one
import.
"""

import datetime
import runpy
import sys
import tempfile
from pathlib import Path

import torch
import torch.distributed as dist

from hpclab.parallel.execution import TorchTransport

RANKS = int(sys.argv[1])
check_on_rank = runpy.run_path(str(Path(__file__).parents[1] / "schedules" / "meaning.py"))["check_on_rank"]


def main(rank, place):
    store = dist.FileStore(place, RANKS)
    limit = datetime.timedelta(seconds=60)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=RANKS, timeout=limit)
    found = []
    for larger in range(RANKS, RANKS // 2, -1):  # all, all but one and that one ...: none idle
        for members in (range(larger), range(larger, RANKS)):
            group = dist.new_group(list(members)) if members else None
            if rank in members:
                check_on_rank(TorchTransport(group), torch.from_numpy, found.append)
        dist.barrier()
    assert not found, found


if __name__ == "__main__":
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        torch.multiprocessing.start_processes(main, (f"{folder}/store",), RANKS, start_method="fork")

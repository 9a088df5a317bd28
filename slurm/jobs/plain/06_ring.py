# The ring all-reduce, beside the library's own, in algbw and busbw, GB/s.
# Run: torchrun --standalone --nproc-per-node 2 06_ring.py
import os
import time

import torch
import torch.distributed as dist

gpu = torch.cuda.device_count() >= int(os.environ["LOCAL_WORLD_SIZE"])
device = torch.device("cuda", int(os.environ["LOCAL_RANK"])) if gpu else None
dist.init_process_group("nccl" if gpu else "gloo", device_id=device)
rank, size = dist.get_rank(), dist.get_world_size()


def ring(vector):
    chunks = vector.tensor_split(size)
    for step in range(2 * (size - 1)):
        out, into = (chunks[(rank - step - n) % size] for n in (0, 1))
        new = torch.empty_like(into)
        send = dist.P2POp(dist.isend, out, (rank + 1) % size)
        receive = dist.P2POp(dist.irecv, new, (rank - 1) % size)
        for message in dist.batch_isend_irecv([send, receive]):
            message.wait()
        into.copy_(into + new if step < size - 1 else new)


for n in 2**10, 2**20, 2**24:  # bytes
    for name, all_reduce in ("ring", ring), ("library", dist.all_reduce):
        times = []
        for _ in range(7):
            vector = torch.ones(n // 4, device=device)
            dist.barrier()
            begin = time.perf_counter()
            all_reduce(vector)
            assert vector[-1] == size  # waits for the GPU, too
            times.append(time.perf_counter() - begin)
        algbw, factor = n / min(times) / 1e9, 2 * (size - 1) / size
        if rank == 0:
            print(f"{name:8}{n:10} B  {algbw=:.3f} busbw={factor * algbw:.3f}")
dist.destroy_process_group()  # or its threads outlive the program

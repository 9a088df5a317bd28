"""A training loop with DDP: how long does a step take on so many ranks?"""
# Run: torchrun --standalone --nproc-per-node 2 08_ddp_loop.py

import os
import time

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

STEPS, BATCH, WIDTH = 20, 32, 512  # samples of each rank: weak scaling

gpu = torch.cuda.is_available()
dist.init_process_group("nccl" if gpu else "gloo")
rank, ranks = dist.get_rank(), dist.get_world_size()
device = torch.device("cpu")
if gpu:
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    torch.cuda.set_device(device)

torch.manual_seed(0)  # a real run loads its weights; DDP sends rank 0's to all
layers = [nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.ReLU()) for _ in range(8)]
model = DistributedDataParallel(nn.Sequential(*layers).to(device))
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
torch.manual_seed(rank + 1)  # its own part of every batch

for step in range(STEPS):
    if step == 5:  # the first ones take memory and connect
        dist.barrier()
        begin = time.perf_counter()
    x = torch.randn(BATCH, WIDTH, device=device)
    loss = nn.functional.mse_loss(model(x), x)
    loss.backward()  # gradients travel in buckets meanwhile
    optimizer.step()
    optimizer.zero_grad()
loss.item()  # waits for a GPU
seconds = (time.perf_counter() - begin) / (STEPS - 5)
print(f"rank {rank} of {ranks}: {1e3 * seconds:.1f} ms a step, loss {loss:.3f}")
dist.destroy_process_group()

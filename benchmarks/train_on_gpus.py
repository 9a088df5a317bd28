"""Measure the GPU paths of training on every GPU of this machine.

    python benchmarks/train_on_gpus.py                            # one GPU
    torchrun --nproc-per-node=8 benchmarks/train_on_gpus.py       # and DDP over NCCL, one rank a GPU

Rates of square matrix multiplies in TF32, BF16 and FP8 (from compute capability 8.9 on), the bus bandwidth of
NCCL's all-reduce, and a training step of the smallest GPT-2 in BF16 autocast.
"""

import json
import os
from collections.abc import Callable
from functools import partial

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel
from torch.utils.benchmark import Timer

from hpclab.models.transformer import Transformer
from hpclab.workloads import gpt

SIDES = (1024, 2048, 4096, 8192, 16384)
SHAPE = Transformer(layers=12, hidden=768, heads=12, sequence=1024, vocabulary=50304)
BATCH = 8  # of a rank


def seconds(call: Callable[[], object]) -> float:
    """Mean seconds of twenty calls after warm-up, device synchronised; every rank makes as many."""
    return Timer("call()", globals={"call": call}).timeit(20).mean


def matmuls() -> dict[str, dict[int, float]]:
    """TFLOP/s of square products, by number format and side."""
    torch.backends.cuda.matmul.allow_tf32 = True
    found: dict[str, dict[int, float]] = {"tf32": {}, "bf16": {}, "fp8": {}}
    for side in SIDES:
        a, b = (torch.randn(side, side, device="cuda") for _ in range(2))
        calls = {"tf32": partial(torch.mm, a, b), "bf16": partial(torch.mm, a.bfloat16(), b.bfloat16())}
        if torch.cuda.get_device_capability() >= (8, 9):
            one = torch.ones((), device="cuda")  # the scale of each
            left, right = (each.to(torch.float8_e4m3fn) for each in (a, b))
            # The second by columns, as tensor cores read 8 bits.
            calls["fp8"] = partial(torch._scaled_mm, left, right.t(), one, one, out_dtype=torch.bfloat16)
        for name, call in calls.items():
            found[name][side] = round(2 * side**3 / seconds(call) / 1e12, 1)
    return found


def main() -> None:
    if not torch.cuda.is_available():
        raise SystemExit("torch finds no GPU here, so nothing was measured; `hpclab doctor` says why.")
    rank, ranks, local = (
        int(os.environ.get(name, usual))
        for name, usual in (("RANK", 0), ("WORLD_SIZE", 1), ("LOCAL_RANK", 0))
    )
    device = torch.device("cuda", local)
    torch.cuda.set_device(device)
    shown = {"gpu": torch.cuda.get_device_name(), "torch": torch.__version__, "TFLOP/s": matmuls()}
    model = gpt.GPT(SHAPE).to(device)
    if ranks > 1:
        dist.init_process_group("nccl", device_id=device)
        tensor = torch.ones(2**28, device=device)
        moved = 2 * (ranks - 1) / ranks * tensor.nbytes
        shown["all-reduce of 1 GiB, busbw in GB/s"] = moved / seconds(partial(dist.all_reduce, tensor)) / 1e9
        model = DistributedDataParallel(model, device_ids=[device.index])
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    inputs, targets = torch.randint(SHAPE.vocabulary, (2, BATCH, SHAPE.sequence), device=device)

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast("cuda", torch.bfloat16):
            value = gpt.loss(model(inputs), targets)
        value.backward()
        optimizer.step()

    time = seconds(step)
    shown["training step on so many GPUs"] = ranks
    shown["its milliseconds"] = round(time * 1e3, 2)
    shown["tokens/s"] = round(ranks * BATCH * SHAPE.sequence / time)
    shown["TFLOP/s of a GPU"] = round(3 * SHAPE.forward_flops(BATCH) / time / 1e12, 1)
    shown["peak memory in GB"] = round(torch.cuda.max_memory_allocated() / 1e9, 2)
    if rank == 0:
        print(json.dumps(shown, indent=1))
    if ranks > 1:
        dist.destroy_process_group()


if __name__ == "__main__":
    main()

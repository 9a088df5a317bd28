"""Trains the course's GPT with DDP: alone, or as the ranks that srun or torchrun started.

    python train.py --steps 200
    srun --ntasks=4 python train.py --steps 200           # with MASTER_ADDR and MASTER_PORT, as in train.sh
    torchrun --nproc-per-node=4 train.py --steps 200

It goes on from the newest good checkpoint in --folder. On SIGUSR1 (the time limit is near) and on SIGTERM
(thrown out of the node) all ranks save together and end with status 75, "start me again". The last line is a
hash of the weights: the same however often the run was interrupted, where the number of ranks is the same.
"""

# ruff: noqa: E402 - signals are heard before torch is loaded: that takes seconds, and one would end the process

import argparse
import datetime
import hashlib
import os
import signal
import socket
import sys
import time
from typing import Any

from hpclab.cluster.host.processes import die_with_parent

heard: list[int] = []  # signals that asked for an end
if __name__ == "__main__":
    for each in (signal.SIGUSR1, signal.SIGTERM):
        signal.signal(each, lambda number, frame: heard.append(number))
    if "TORCHELASTIC_RUN_ID" in os.environ:  # torchrun, were it killed, would leave its ranks behind
        die_with_parent(os.getppid())

import numpy
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from hpclab.corpus.store import load_or_make
from hpclab.models.transformer import Transformer
from hpclab.storage.checkpoint import Checkpoints
from hpclab.workloads import gpt


def main() -> int:
    options = arguments(sys.argv[1:])
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    try:
        join(options.timeout)
        weights = train(options)
    except (ValueError, OSError) as error:
        raise SystemExit(f"train.py: {error}") from None
    if dist.is_initialized():
        dist.destroy_process_group()
    return 0 if weights else os.EX_TEMPFAIL  # 75


def arguments(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--folder", default="runs/tiny", help="of the checkpoints, seen by all ranks")
    parser.add_argument("--tokens", help="a .npy file of token numbers; else the corpus of lesson 05")
    for name, value in {"steps": 200, "batch": 16, "layers": 4, "hidden": 128, "heads": 4, "sequence": 128,
                        "log-every": 10, "save-every": 50}.items():  # fmt: skip
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--timeout", type=float, default=120, help="seconds that a rank waits for the others")
    return parser.parse_args(words)


def join(timeout: float) -> None:
    """The process group, if there are several ranks; who we are is told by torchrun, or else by srun."""
    told = os.environ
    if "RANK" not in told and told.get("SLURM_STEP_NUM_TASKS", "1") != "1":
        told |= {"RANK": told["SLURM_PROCID"], "WORLD_SIZE": told["SLURM_STEP_NUM_TASKS"]}
        told["LOCAL_RANK"] = told["SLURM_LOCALID"]
    if "RANK" not in told:
        return
    rank, ranks, limit = int(told["RANK"]), int(told["WORLD_SIZE"]), datetime.timedelta(seconds=timeout)
    address, port, store = told.get("MASTER_ADDR", ""), int(told.get("MASTER_PORT", "0")), None
    if address.startswith("127.") and told.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        # The store that PyTorch makes listens on every network, to whoever comes; this one on loopback.
        own = {"master_listen_fd": socket.create_server((address, port)).detach()} if rank == 0 else {}
        store = dist.TCPStore(address, port, ranks, rank == 0, limit, wait_for_workers=False, **own)
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    dist.init_process_group(backend, store=store, rank=rank, world_size=ranks, timeout=limit)


def device() -> torch.device:
    """This rank's GPU, if every rank has one to itself, as NCCL wants it; else the CPU."""
    gpus, number, which = torch.cuda.device_count(), 0, ""
    if gpus:
        number = int(os.environ.get("LOCAL_RANK", "0")) % gpus  # srun may show a task only its own
        which = str(torch.cuda.get_device_properties(number).uuid)
    everywhere = [which]
    if dist.is_initialized():
        everywhere *= dist.get_world_size()
        dist.all_gather_object(everywhere, which)
    if "" in everywhere or len(set(everywhere)) < len(everywhere):
        return torch.device("cpu")
    torch.cuda.set_device(number)
    return torch.device("cuda", number)


def train(options: argparse.Namespace) -> str:
    """The hash of the weights after the last step; "" where a signal was heard, and all is saved."""
    rank, ranks = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
    say = print if rank == 0 else lambda *words, **more: None
    tokens = numpy.load(options.tokens) if options.tokens else load_or_make().tokens
    tokens = torch.from_numpy(tokens.astype("int32"))
    vocabulary = int(tokens.max()) + 1
    shape = Transformer(options.layers, options.hidden, options.heads, options.sequence, vocabulary)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    where = device()
    model = gpt.GPT(shape).to(where)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.0)
    parallel = DistributedDataParallel(model) if ranks > 1 else model

    def forward_backward(step: int) -> torch.Tensor:
        """This rank's loss of a step; DDP averages the gradients over the ranks."""
        inputs, targets = gpt.batches(tokens, options.batch, options.sequence, step, rank, ranks)
        value = gpt.loss(parallel(inputs.to(where)), targets.to(where))
        optimizer.zero_grad()
        value.backward()
        return value.detach()

    def state() -> dict[str, Any]:
        return {"model": model.state_dict(), "optimizer": optimizer.state_dict()}

    # After its first backward pass DDP orders its buckets anew, and sums round in another order. A pass that
    # counts for nothing comes first, so that a run that goes on adds up as one that was never interrupted.
    # The optimizer gets its tensors of it: a checkpoint is loaded into tensors that are there.
    forward_backward(0)
    optimizer.step()
    for tensors in optimizer.state.values():
        for tensor in tensors.values():
            tensor.zero_()
    checkpoints, saved = Checkpoints(options.folder), state()
    first = checkpoints.load(saved) or 0
    optimizer.load_state_dict(saved["optimizer"])
    for sentence in checkpoints.passed_over:
        say(sentence)
    say(f"{shape.parameters:,} parameters, {ranks} rank(s) on {where.type}, from step {first}", flush=True)

    begin = time.monotonic()
    for step in range(first, options.steps):
        if over_ranks(bool(heard), dist.ReduceOp.MAX):  # a signal does not reach all ranks in the same step
            checkpoints.save(step, state())
            say(f"stopped by a signal, saved at step {step}", flush=True)
            return ""
        optimizer.param_groups[0]["lr"] = 1e-3 * min(1, (step + 1) / 20)  # of the step alone: not saved
        value = forward_backward(step)
        optimizer.step()
        done = step + 1
        if done % options.log_every == 0:
            mean = over_ranks(value.item(), dist.ReduceOp.SUM) / ranks
            begin, seconds = time.monotonic(), time.monotonic() - begin
            speed = options.batch * options.sequence * options.log_every / seconds
            say(f"step {done}  loss {mean:.4f}  {speed:,.0f} tokens/s", flush=True)
        if done % options.save_every == 0 or done == options.steps:
            checkpoints.save_in_background(done, state())
    checkpoints.wait()
    weights = b"".join(each.detach().cpu().numpy().tobytes() for each in model.parameters())
    digest = hashlib.sha256(weights).hexdigest()[:16]
    say(f"done at step {options.steps}, weights {digest}", flush=True)
    return digest


def over_ranks(value: float, operation: Any) -> float:
    """On the CPU, over gloo: a GPU works on while its rank asks."""
    tensor = torch.tensor(float(value))
    if dist.is_initialized():
        dist.all_reduce(tensor, operation)
    return tensor.item()


if __name__ == "__main__":
    raise SystemExit(main())

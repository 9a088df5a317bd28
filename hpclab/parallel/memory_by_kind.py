"""Where the memory of a real training step went: parameters, gradients, optimizer states, activations.

    measure(shape, plan)                    # of the course's GPT, on one device
    models.memory.predict(shape, plan)      # the same, predicted

Sizes are those of torch's tensors and so the same on every device; what CUDA, NCCL and the allocator take
besides are `buffers` in the model, and none here. What to notice: with a single micro-batch gradients are
nearly nothing at the peak, for they appear as the activations go; with a second one they are whole.
"""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.distributed._tools.mem_tracker import MemTracker
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper

from hpclab.models.memory import Memory
from hpclab.models.plan import Plan
from hpclab.models.transformer import Transformer
from hpclab.workloads.gpt import GPT, loss

TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class Float32Adam:
    """AdamW on float32 copies of 16-bit parameters: the 12 bytes of mixed precision."""

    def __init__(self, model: nn.Module):
        self.own = list(model.parameters())
        self.copies = [one.detach().float().clone() for one in self.own]
        self.adam = torch.optim.AdamW(self.copies)

    def step(self) -> None:
        for own, copy in zip(self.own, self.copies, strict=True):
            copy.grad, own.grad = own.grad.float(), None
        self.adam.step()
        with torch.no_grad():
            for own, copy in zip(self.own, self.copies, strict=True):
                own.copy_(copy)
                copy.grad = None

    def held(self) -> int:
        """Bytes of its states, and of the copies where the parameters are not in float32 themselves."""
        states = [one for state in self.adam.state.values() for one in state.values() if one.dim()]
        mixed = self.own[0].dtype != torch.float32
        return stored(states) + (stored(self.copies) if mixed else 0)


def measure(shape: Transformer, plan: Plan, device: str = "cpu") -> Memory:
    """Bytes by kind at the peak of the plan's micro-batches, forward and backward, on one device.

    ValueError where the plan is for several GPUs, or recomputes in part.
    """
    if plan.gpus > 1 or plan.recompute not in ("none", "full"):
        raise ValueError(
            'measure takes a plan for one GPU with recompute="none" or "full"; more GPUs: rehearse.'
        )
    model = GPT(shape).to(device, TYPES[plan.precision])
    if plan.recompute == "full":
        recompute_blocks(model)
    tokens = torch.zeros(plan.micro_batch, shape.sequence, dtype=torch.long, device=device)
    optimizer = Float32Adam(model)
    micro_batch(model, tokens)
    optimizer.step()
    tracker = MemTracker()
    tracker.track_external(model)
    with tracker:
        for _ in range(plan.micro_batches):
            micro_batch(model, tokens)
            tracker.reset_mod_stats()
        peak = by_kind(tracker)
    activations = peak["Activation"] + peak["Temp"]
    return Memory(peak["Parameter"], peak["Gradient"], optimizer.held(), activations, 0)


def micro_batch(model: nn.Module, tokens: Tensor) -> None:
    """Forward and backward; the loss is computed in float32, as is usual."""
    loss(model(tokens).float(), tokens).backward()


def recompute_blocks(model: GPT) -> None:
    """Let each block keep its input only, and compute the rest again when its turn to go backward comes."""
    for number, block in enumerate(model.blocks):
        model.blocks[number] = checkpoint_wrapper(block)


def by_kind(tracker: MemTracker) -> dict[str, int]:
    """A tracker's bytes at the peak, by kind."""
    ((kinds),) = tracker.get_tracker_snapshot("peak").values()
    return {str(getattr(kind, "value", kind)): size for kind, size in kinds.items()}


def saved_for_backward(forward: Callable[[], Tensor], model: nn.Module) -> dict[str, int]:
    """Bytes that `forward` keeps for its backward pass, by the operation that made them.

    Each storage is counted once, however many operations keep it; parameters are not counted.
    """
    seen = {one.untyped_storage().data_ptr() for one in model.parameters()}
    found: dict[str, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in seen:
            seen.add(storage.data_ptr())
            maker = type(tensor.grad_fn).__name__.removesuffix("Backward0") if tensor.grad_fn else "inside"
            found[maker] = found.get(maker, 0) + storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        result = forward()
    del result
    return found


def stored(tensors: Iterable[Tensor]) -> int:
    """Bytes of the tensors' storages, each counted once."""
    return sum({one.untyped_storage(): one.untyped_storage().nbytes() for one in tensors}.values())

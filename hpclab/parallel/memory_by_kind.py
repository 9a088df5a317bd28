"""What a real training step sent, and where its memory went, by kind.

Sizes are those of torch's tensors and so the same on every device, without what CUDA, NCCL and the allocator
take. With one micro-batch gradients are nearly nothing at the peak, for they appear as the activations go.
"""

import weakref
from collections import Counter
from collections.abc import Iterable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper
from torch.distributed.tensor import DTensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary

from hpclab.models.formulas import bus_factor
from hpclab.models.memory import Memory
from hpclab.models.plan import Plan
from hpclab.models.transformer import Transformer
from hpclab.workloads.gpt import GPT, loss

WHOLE = {  # an operator's collective, and which of its arguments is the whole vector
    "c10d::allreduce_": ("all_reduce", "tensors"),
    "c10d::allgather_": ("all_gather", "output_tensors"),
    "c10d::_allgather_base_": ("all_gather", "output_tensor"),
    "c10d::reduce_scatter_": ("reduce_scatter", "input_tensors"),
    "c10d::_reduce_scatter_base_": ("reduce_scatter", "input_tensor"),
    "c10d::alltoall_base_": ("all_to_all", "input"),
    "c10d::send": ("send_recv", "tensors"),
    "_c10d_functional::all_reduce": ("all_reduce", "input"),
    "_c10d_functional::reduce_scatter_tensor": ("reduce_scatter", "input"),
}
TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
GATHERS = {name for name, (collective, _) in WHOLE.items() if collective in ("all_gather", "reduce_scatter")}


class Volume(TorchDispatchMode):
    """Counts, as a context, by collective the bytes that this rank has `sent` and its `calls`, each a torch
    operator. An all-to-all sends what leaves the rank, any other collective what a ring sends. Not counted:
    bytes of integers, and DDP, whose C++ calls no operator."""

    def __init__(self) -> None:
        super().__init__()
        self.sent, self.calls = Counter[str](), Counter[str]()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if any(issubclass(one, DTensor) for one in types):
            return NotImplemented  # it makes operations on this rank's part, which come here again
        if func.name() in WHOLE:
            collective, whole = WHOLE[func.name()]
            self.calls[collective] += 1
            given = dict(zip((one.name for one in func._schema.arguments), args, strict=False))
            size = sum(one.nbytes for one in tree_leaves(given[whole]) if one.is_floating_point())
            self.sent[collective] += round(size * sent_per_byte(collective, given))
        return func(*args, **(kwargs or {}))


def sent_per_byte(collective: str, given: dict[str, Any]) -> float:
    """Bytes that this rank sends for each byte of the whole vector; `given`: the operator's arguments."""
    if "process_group" in given:
        group = dist.ProcessGroup.unbox(given["process_group"])
    else:
        group = dist.distributed_c10d._resolve_process_group(given["group_name"])
    if collective == "all_to_all" and (rows := sum(given["input_split_sizes"])):
        return 1 - given["input_split_sizes"][group.rank()] / rows
    return bus_factor(collective, group.size())


class Live(Volume):
    """Counts, as a context, the bytes of all tensors, too; `peak` is the Memory when they were largest.

    A storage is counted once, from the operation that makes it until it is freed. What FSDP gathers and
    scatters is `buffers`; what is neither that nor a parameter or its gradient is an activation.
    """

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = list(model.parameters())
        self.parameters, self.optimizer, self.total = stored(self.model), stored(adam_states(self.model)), 0
        self.sizes, self.whole = WeakIdKeyDictionary(), WeakIdKeyDictionary()  # storage -> [bytes]
        for parameter in self.model:
            self.count(own_part(parameter).untyped_storage())
        self.peak, self.paused = Memory(0, 0, 0, 0, 0), False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = super().__torch_dispatch__(func, types, args, kwargs)
        if result is NotImplemented or self.paused:
            return result
        gathers = func.namespace == "fsdp" or func.name() in GATHERS
        for tensor in tree_leaves((args, kwargs, result) if gathers else result):
            if isinstance(tensor, Tensor):
                size = self.count(tensor.untyped_storage())
                if gathers:
                    self.whole[tensor.untyped_storage()] = size
        for storage, size in self.whole.items():  # FSDP empties and refills them
            self.total += storage.nbytes() - size[0]
            size[0] = storage.nbytes()
        if self.total + self.optimizer > self.peak.total:
            self.peak = self.now()
        return result

    def count(self, storage: torch.UntypedStorage) -> list[int]:
        """Add a storage's bytes to the total until it is freed; return its [bytes], which can be changed."""
        if storage not in self.sizes:
            self.sizes[storage] = [storage.nbytes()]
            self.total += storage.nbytes()
            weakref.finalize(storage, self.free, self.sizes[storage]).atexit = False
        return self.sizes[storage]

    def free(self, size: list[int]) -> None:
        """Take a freed storage's [bytes] from the total."""
        self.total -= size[0]

    def now(self) -> Memory:
        """The Memory of this moment."""
        gradients = stored(one.grad for one in self.model if one.grad is not None)
        whole = sum(size[0] for size in self.whole.values())
        rest = self.total - self.parameters - gradients - whole
        return Memory(self.parameters, gradients, self.optimizer, rest, whole)


def measure(shape: Transformer, plan: Plan, device: str = "cpu") -> Memory:
    """The Memory at the peak of the micro-batches on one device, as `models.memory.of_tensors` predicts
    it. ValueError where the plan is for several GPUs, or recomputes in part."""
    if plan.gpus > 1 or plan.recompute not in ("none", "full"):
        raise ValueError('measure takes a plan for one GPU with recompute="none" or "full".')
    model = GPT(shape).to(device, TYPES[plan.precision])
    if plan.recompute == "full":
        recompute_blocks(model)
    tokens = torch.zeros(plan.micro_batch, shape.sequence, dtype=torch.long, device=device)
    with Live(model) as live:
        micro_batches(model, tokens, plan.micro_batches)
    return live.peak


def micro_batches(model: nn.Module, tokens: Tensor, count: int) -> None:
    """Run `count` forward and backward passes that add up gradients; the loss is in float32, as is usual."""
    for _ in range(count):
        loss(model(tokens).float(), tokens).backward()


def adam_states(parameters: list[nn.Parameter]) -> list[Tensor]:
    """What AdamW keeps from its first step on; of 16-bit parameters it keeps float32 copies, too."""
    copies = [one.detach().float() for one in parameters]
    for copy in copies:
        copy.grad = torch.zeros_like(copy)
    adam = torch.optim.AdamW(copies)
    adam.step()
    moments = [one for state in adam.state.values() for one in state.values() if one.dim()]
    return moments if copies[0].dtype == parameters[0].dtype else moments + copies


def recompute_blocks(model: GPT) -> None:
    """Let each block keep its input only, and compute the rest again when its turn to go backward comes."""
    for number, block in enumerate(model.blocks):
        model.blocks[number] = checkpoint_wrapper(block)


def own_part(tensor: Tensor) -> Tensor:
    """This rank's part of a DTensor, and all of any other tensor."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def stored(tensors: Iterable[Tensor]) -> int:
    """Bytes of the tensors' storages on this rank, each counted once."""
    storages = [own_part(one).untyped_storage() for one in tensors]
    return sum({one._cdata: one.nbytes() for one in storages}.values())

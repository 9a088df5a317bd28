"""What a rank sends in a step, counted: by hand, DTensor or FSDP2, each collective is a torch operator.

An all-to-all sends what leaves the rank, any other collective what a ring sends (`models.formulas`). Not
counted: bytes of integers, and DDP, whose C++ calls no operator. (torch's CommDebugMode counts calls alone.)
"""

from collections import Counter
from typing import Any

import torch.distributed as dist
from torch.distributed.tensor import DTensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from hpclab.models.formulas import bus_factor

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


class Volume(TorchDispatchMode):
    """While it is entered: the bytes that this rank has `sent`, and its `calls`, by collective."""

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
            self.sent[collective] += round(size * leaving(collective, given))
        return func(*args, **(kwargs or {}))


def leaving(collective: str, given: dict[str, Any]) -> float:
    """The bytes that leave this rank, for each byte of the vector."""
    if "process_group" in given:
        group = dist.ProcessGroup.unbox(given["process_group"])
    else:
        group = dist.distributed_c10d._resolve_process_group(given["group_name"])
    if collective == "all_to_all" and (rows := sum(given["input_split_sizes"])):
        return 1 - given["input_split_sizes"][group.rank()] / rows
    return bus_factor(collective, group.size())

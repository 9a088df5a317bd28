"""What a rank sends in a step, counted: by hand, by DTensor or by FSDP, for each calls a torch operator.

with Volume() as volume:
    loss(model(inputs), targets).backward()
volume.sent        # {"all_reduce": bytes}, to be held against models.communication_volume.formula

Bytes are those that a ring sends (`models.formulas.bus_factor`), of an all-to-all those that leave the rank.
Not counted: integers, such as an all-to-all's sizes, and DDP, whose C++ calls no operator.
torch's CommDebugMode counts calls, module by module.
"""

from collections import Counter
from typing import Any

import torch.distributed as dist
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
    """While it is entered: `calls` and bytes `sent` of this rank, by collective."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[str] = Counter()
        self.sent: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.name() in WHOLE:
            collective, whole = WHOLE[func.name()]
            given = dict(zip((one.name for one in func._schema.arguments), args, strict=False))
            parts = [one for one in tree_leaves(given[whole]) if one.is_floating_point()]
            self.calls[collective] += bool(parts)
            self.sent[collective] += round(sum(one.nbytes for one in parts) * leaving(collective, given))
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

"""ZeRO (Rajbhandari et al. 2020): of what all p ranks would keep alike, each keeps one p-th. Stage 1 cuts the
optimizer's states, stage 2 gradients too, stage 3 weights too.

    zero = Zero(model, 3, lambda shards: torch.optim.AdamW(shards, lr=1e-3))
    loss(model(inputs), targets).backward()
    zero.step()
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.fsdp import fully_shard
from torch.nn import functional

from hpclab import checks
from hpclab.models.plan import ZERO
from hpclab.parallel.data import gradients, when_complete
from hpclab.parallel.memory_by_kind import stored
from hpclab.workloads.gpt import GPT


class Unit:
    """Parameters that are cut and gathered together: views of `whole`, one flat tensor. `shard` is this
    rank's part, for an optimizer that treats each element by itself, as SGD and Adam do."""

    def __init__(self, parameters: list[nn.Parameter], group: Any = None):
        self.parameters, self.group, self.ranks = parameters, group, dist.get_world_size(group)
        self.whole = self.flat([one.detach() for one in parameters])
        self.shard = nn.Parameter(self.whole.chunk(self.ranks)[dist.get_rank(group)].clone())
        sizes = [one.numel() for one in parameters]
        for parameter, part in zip(parameters, self.whole[: sum(sizes)].split(sizes), strict=True):
            parameter.data = part.view_as(parameter)

    def flat(self, tensors: list[Tensor]) -> Tensor:
        """Join `tensors` into one flat tensor, zeros at its end so that it can be cut into equal shards."""
        joined = torch.cat([one.flatten() for one in tensors])
        return functional.pad(joined, (0, -len(joined) % self.ranks))

    def gather(self) -> None:
        """All shards into `whole`, and so into the parameters."""
        self.whole.untyped_storage().resize_(self.whole.nbytes)
        parts = list(self.whole.chunk(self.ranks))  # views: what arrives is in `whole`
        dist.all_gather(parts, self.shard.detach(), self.group)

    def free(self) -> None:
        """The tensors stay, for autograd has noted them, and their memory goes."""
        self.whole.untyped_storage().resize_(0)

    def reduce_gradients(self) -> None:
        """Each rank gets its part of the averaged gradient; the whole gradients go."""
        own = torch.empty_like(self.shard)
        flat = self.flat(gradients(self.parameters)) / self.ranks
        dist.reduce_scatter(own, list(flat.chunk(self.ranks)), group=self.group)
        self.shard.grad = own
        for parameter in self.parameters:
            parameter.grad = None


class Zero:
    """A stage of ZeRO (`models.plan`) for a GPT: a unit for each block, and one for the rest.

    Stages 1 and 2 send the bytes of an all-reduce, the gradients scattered and then the weights gathered;
    stage 3 half as many again. FSDP does the same, and gathers the next block while one computes.
    """

    def __init__(self, model: GPT, stage: int, optimizer: Callable[[list], Any], group: Any = None):
        self.stage = ZERO[checks.integer("stage", stage, 1, len(ZERO) - 1)]
        blocks = [Unit(list(block.parameters()), group) for block in model.blocks]
        rest = Unit([one for name, one in model.named_parameters() if not name.startswith("blocks")], group)
        self.units = [*blocks, rest]
        self.optimizer = optimizer([unit.shard for unit in self.units])
        # A block's gradients are reduced, and the whole ones go, while backward goes on.
        if "reduce_scatter" in self.stage.each_pass:
            for unit in self.units:
                when_complete(unit.parameters, unit.reduce_gradients)
        # A block is whole while it computes: once in forward, once in backward.
        if "parameters" in self.stage.sharded:
            model.register_forward_pre_hook(lambda *_: rest.gather())
            for block, unit in zip(model.blocks, blocks, strict=True):
                block.register_forward_pre_hook(lambda *_, unit=unit: unit.gather())
                block.register_forward_hook(lambda *_, unit=unit: unit.free())
                block.register_full_backward_pre_hook(lambda *_, unit=unit: unit.gather())
            for unit in self.units:
                when_complete(unit.parameters, unit.free)
                unit.free()

    def held(self) -> str:
        """Text: MiB before `step` of weights, gradients, this rank's shards of both, optimizer states."""
        model = [one for unit in self.units for one in unit.parameters]
        shards = [unit.shard for unit in self.units]
        states = [one for state in self.optimizer.state.values() for one in state.values()]
        sizes = []
        for parameters in (model, shards):
            sizes += [stored(parameters), stored(one.grad for one in parameters if one.grad is not None)]
        return "".join(f"{size / 2**20:8.1f}" for size in (*sizes, stored(states)))

    def step(self) -> None:
        """Update this rank's part of the weights; in stages 1 and 2 gather the whole ones."""
        if "reduce_scatter" in self.stage.once:
            for unit in self.units:
                unit.reduce_gradients()
        self.optimizer.step()
        self.optimizer.zero_grad()
        if "all_gather" in self.stage.once:
            for unit in self.units:
                unit.gather()


def by_fsdp(model: GPT, **options: Any) -> GPT:
    """Shard `model` in place, each block, then the rest, by FSDP2's fully_shard with these `options`; make
    the optimizer afterwards."""
    for module in (*model.blocks, model):
        fully_shard(module, **options)
    return model

"""ZeRO (Rajbhandari et al. 2020): of what all p ranks would keep alike, each keeps one p-th.

Of Adam's 16 bytes a parameter (mixed precision) 12 are the optimizer's, 2 the gradient, 2 the weight. Stage 1
cuts the optimizer's state, stage 2 the gradients too, stage 3 the weights too. Every stage is used so:

    zero = Zero3(model, lambda shards: torch.optim.AdamW(shards, lr=1e-3))
    loss(model(inputs), targets).backward()
    zero.step()
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn import functional

from hpclab.parallel.data import average_all, gradients, trained
from hpclab.workloads.gpt import GPT

MakeOptimizer = Callable[[list[nn.Parameter]], torch.optim.Optimizer]


class Unit:
    """Parameters that are gathered together: views of `whole`, one flat tensor; `shard` is this rank's part.

    The optimizer works on shards. It must treat each element by itself, as SGD and Adam do.
    """

    def __init__(self, parameters: list[nn.Parameter], group: Any = None):
        self.parameters, self.group = parameters, group
        self.rank, self.ranks = dist.get_rank(group), dist.get_world_size(group)
        self.whole = self.flat([parameter.detach() for parameter in parameters])
        first = 0
        for parameter in parameters:
            parameter.data = self.whole[first : first + parameter.numel()].view_as(parameter)
            first += parameter.numel()
        self.shard = nn.Parameter(self.own(self.whole).clone())

    def flat(self, tensors: list[Tensor]) -> Tensor:
        """One after the other, with zeros at the end, so that it can be cut into equal shards."""
        joined = torch.cat([tensor.flatten() for tensor in tensors])
        return functional.pad(joined, (0, -len(joined) % self.ranks))

    def own(self, flat: Tensor) -> Tensor:
        """This rank's part of a flat tensor."""
        return flat.chunk(self.ranks)[self.rank]

    def gather(self) -> None:
        """All shards into `whole`, and so into the parameters."""
        self.whole.untyped_storage().resize_(self.whole.nbytes)
        dist.all_gather_into_tensor(self.whole, self.shard.detach(), self.group)

    def free(self) -> None:
        """The tensors stay, for autograd has noted them, and their memory goes."""
        self.whole.untyped_storage().resize_(0)

    def reduce_gradients(self) -> None:
        """Each rank gets its part of the averaged gradient; the whole gradients go."""
        flat = self.flat(gradients(self.parameters)) / self.ranks
        self.shard.grad = torch.empty_like(self.shard)
        dist.reduce_scatter_tensor(self.shard.grad, flat, group=self.group)
        for parameter in self.parameters:
            parameter.grad = None

    def after_backward(self, call: Callable[[], None]) -> None:
        """Have backward call it as soon as all of these parameters have their gradient."""
        missing = set(self.parameters)

        def count(parameter: Tensor) -> None:
            missing.discard(parameter)
            if not missing:
                missing.update(self.parameters)
                call()

        for parameter in self.parameters:
            parameter.register_post_accumulate_grad_hook(count)


class Zero1:
    """Optimizer state is cut: each rank updates its part of the weights, then all gather all parts."""

    def __init__(self, model: nn.Module, optimizer: MakeOptimizer, group: Any = None):
        self.model, self.unit = model, Unit(trained(model), group)
        self.optimizer = optimizer([self.unit.shard])

    def step(self) -> None:
        average_all(self.model, self.unit.group)
        whole = self.unit.flat(gradients(self.unit.parameters))
        self.unit.shard.grad = self.unit.own(whole)
        self.optimizer.step()
        self.unit.gather()
        self.model.zero_grad()


class Zero2:
    """Gradients as well: a block's are reduced and scattered, and the whole ones freed, during backward.

    A unit for each block, one for the rest. As many bytes as an all-reduce, which is a reduce-scatter and an
    all-gather: the all-gather is that of the weights, after the optimizer and not before.
    """

    def __init__(self, model: GPT, optimizer: MakeOptimizer, group: Any = None):
        self.blocks = [Unit(trained(block), group) for block in model.blocks]
        inside = set(model.blocks.parameters())
        self.rest = Unit([one for one in trained(model) if one not in inside], group)
        self.units = [*self.blocks, self.rest]
        self.optimizer = optimizer([unit.shard for unit in self.units])
        for unit in self.units:
            unit.after_backward(unit.reduce_gradients)

    def step(self) -> None:
        self.optimizer.step()
        self.optimizer.zero_grad()
        for unit in self.units:
            unit.gather()


class Zero3(Zero2):
    """Weights as well: a block is whole while it computes, and gathered twice, for forward and for backward.

    Half as many bytes again as stage 2. FSDP does this, and gathers the next block while one computes.
    """

    def __init__(self, model: GPT, optimizer: MakeOptimizer, group: Any = None):
        super().__init__(model, optimizer, group)
        model.register_forward_pre_hook(lambda *_: self.rest.gather())
        for block, unit in zip(model.blocks, self.blocks, strict=True):
            block.register_forward_pre_hook(lambda *_, unit=unit: unit.gather())
            block.register_forward_hook(lambda *_, unit=unit: unit.free())
            block.register_full_backward_pre_hook(lambda *_, unit=unit: unit.gather())
        for unit in self.units:
            unit.after_backward(unit.free)  # after their gradients are reduced
            unit.free()

    def step(self) -> None:
        self.optimizer.step()
        self.optimizer.zero_grad()


def by_fsdp(model: GPT) -> None:
    """The same units by PyTorch's FSDP2, in place; an optimizer made afterwards works on the shards."""
    mesh = init_device_mesh(model.token.weight.device.type, (dist.get_world_size(),))
    for module in (*model.blocks, model):
        fully_shard(module, mesh=mesh)

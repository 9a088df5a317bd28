"""Tensor parallelism: each matrix cut over the ranks, in pairs that need only one sum.

Of an MLP, gelu(x A) B, a rank holds some columns of A and the same rows of B: gelu takes number by number, so
its part of gelu(x A) times its rows of B is a summand of the result. Attention is cut likewise, by heads.
Shoeybi et al., "Megatron-LM" (2019), figure 3. What travels are whole activations, twice a block forward and
twice backward, and every rank waits for them: this wants the fastest links there are, those inside a node.

    model = split(GPT(shape), group)            # the same weights on every rank; then a part of each block
    loss(model(inputs), targets).backward()     # the same batch on every rank; nothing else changes
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import Replicate, parallel
from torch.nn import functional

from hpclab.workloads.gpt import GPT, MLP, Attention

COLUMNS, ROWS = ("query", "key", "value", "up"), ("out", "down")  # a GPT's layers by how they are cut


class Conjugate(torch.autograd.Function):
    """x takes the one way forward, its gradient the other way backward.

    (x, group, same, summed) is Megatron's f: every rank uses x, and its gradient is
    the sum of theirs. (x, group, summed, same) is Megatron's g: x is a summand, and
    has the gradient of the sum.
    """

    @staticmethod
    def forward(ctx, x, group, there, back):
        ctx.group, ctx.back = group, back
        return there(x, group)

    @staticmethod
    def backward(ctx, gradient):
        return ctx.back(gradient, ctx.group), None, None, None


def same(x: Tensor, group: Any) -> Tensor:
    """x, without communication."""
    return x


def summed(x: Tensor, group: Any) -> Tensor:
    """The sum over the ranks, in a tensor of its own."""
    total = x.clone(memory_format=torch.contiguous_format)
    dist.all_reduce(total, group=group)
    return total


class RowParallel(nn.Module):
    """A linear layer on this rank's part of the inputs. `leave` is a function of its outputs that sums them
    over the ranks; the bias is added once, after it."""

    def __init__(self, linear: Any, group: Any, leave: Callable):
        super().__init__()
        self.weight, self.bias, self.leave = part(linear.weight, 1, group), linear.bias, leave

    def forward(self, x: Tensor) -> Tensor:
        return self.leave(functional.linear(x, self.weight)) + self.bias


def part(whole: Any, dim: int, group: Any) -> nn.Parameter:
    """This rank's part of a parameter, cut evenly along `dim`."""
    own = whole.detach().chunk(dist.get_world_size(group), dim)[dist.get_rank(group)]
    return nn.Parameter(own.clone(memory_format=torch.contiguous_format))


def split(model: GPT, group: Any = None, there: Callable = same, back: Callable = summed) -> GPT:
    """Leave of `model` this rank's part, and return it: of each block some heads and some of the MLP's width,
    f before each and g at its end, Conjugates of `there` and `back`; the rest is whole (Megatron cuts
    the vocabulary, too)."""

    def f(module: nn.Module, inputs: tuple) -> tuple[Tensor]:
        return (Conjugate.apply(inputs[0], group, there, back),)

    def g(x: Tensor) -> Tensor:
        return Conjugate.apply(x, group, back, there)

    for module in parts_to_cut(model, dist.get_world_size(group)):
        module.register_forward_pre_hook(f)  # once for query, key and value: one sum backward, not three
        for name, linear in list(module.named_children()):
            if name in COLUMNS:  # its outputs are dimension 0, for PyTorch stores (outputs, inputs)
                linear.weight, linear.bias = part(linear.weight, 0, group), part(linear.bias, 0, group)
            else:
                setattr(module, name, RowParallel(linear, group, g))
    return model


def split_by_pytorch(model: GPT, mesh: DeviceMesh) -> GPT:
    """Cut `model` by PyTorch's DTensor over a `mesh` of one dimension, which adds the sums, and return it.
    What is not cut stays a plain tensor, and an optimizer of both kinds wants foreach=False."""
    once = parallel.PrepareModuleInput(input_layouts=Replicate(), desired_input_layouts=Replicate())
    for module in parts_to_cut(model, mesh.size()):
        styles: dict[str, parallel.ParallelStyle] = {"": once}  # of its own input, as the hook above
        for name, _ in module.named_children():
            styles[name] = parallel.ColwiseParallel() if name in COLUMNS else parallel.RowwiseParallel()
        parallel.parallelize_module(module, mesh, styles)
    return model


def parts_to_cut(model: GPT, ranks: int) -> list[Attention | MLP]:
    """The attention and MLP modules of all blocks; ValueError where `ranks` divides no heads or width."""
    heads, width = model.shape.heads, model.shape.feed_forward
    if heads % ranks or width % ranks:
        raise ValueError(f"{ranks} ranks do not divide {heads} heads and an MLP of {width}: choose fewer.")
    return [module for module in model.modules() if isinstance(module, Attention | MLP)]

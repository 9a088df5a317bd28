"""Activation checkpointing: a block keeps only its input, and computes the rest again when backward needs it.

    logits = forward(model, tokens, by_hand)       # or keep, or by_torch
    loss(logits, targets).backward()

Memory for time: one block's activations at a time instead of all blocks', for one more forward pass of the
blocks, a third more work.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from hpclab.workloads.gpt import GPT

Call = Callable[[nn.Module, Tensor], Tensor]


def keep(block: nn.Module, x: Tensor) -> Tensor:
    """As usual: autograd keeps what each operation's backward needs."""
    return block(x)


class Recompute(torch.autograd.Function):
    """A block as a single operation, which keeps its input."""

    @staticmethod
    def forward(ctx: Any, block: nn.Module, x: Tensor) -> Tensor:
        ctx.block = block
        ctx.save_for_backward(x)
        return block(x)  # autograd is off in here, so nothing inside is kept

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, Tensor | None]:
        x = ctx.saved_tensors[0].detach().requires_grad_()
        with torch.enable_grad():
            again = ctx.block(x)
        again.backward(*gradients)  # adds to the gradients of the block's parameters
        return None, x.grad


def by_hand(block: nn.Module, x: Tensor) -> Tensor:
    """`x` must require a gradient, as all blocks' inputs do where the embedding is trained."""
    return Recompute.apply(block, x)


def by_torch(block: nn.Module, x: Tensor) -> Tensor:
    """The same by PyTorch, which also sets the random numbers back, so that dropout drops the same again."""
    return checkpoint(block, x, use_reentrant=False)


def forward(model: GPT, tokens: Tensor, call: Call) -> Tensor:
    """The model's forward pass with its blocks called by `call`."""
    x = model.embed(tokens)
    for block in model.blocks:
        x = call(block, x)
    return model.output(model.norm(x))


@contextmanager
def kept(model: nn.Module) -> Iterator[dict[int, int]]:
    """Inside, what a forward pass keeps for backward, parameters apart: bytes by address; sum its values.

    A tensor that several operations keep lies in memory once and is counted once.
    """
    parameters = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    found: dict[int, int] = {}

    def count(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in parameters:
            found[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        yield found

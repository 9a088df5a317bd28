"""Activation checkpointing: a block keeps only its input, and computes the rest again when backward needs it;
the activations of one block at a time instead of all, for a third more work.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from hpclab.workloads.gpt import GPT


class Recompute(torch.autograd.Function):
    """A block as one operation, which keeps its input."""

    @staticmethod
    def forward(ctx: Any, block: nn.Module, x: Tensor) -> Tensor:
        ctx.block = block
        ctx.save_for_backward(x)
        return block(x)  # autograd is off in here, so nothing inside is kept

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, Tensor | None]:
        x = ctx.saved_tensors[0].detach().requires_grad_()
        with torch.enable_grad():
            ctx.block(x).backward(*gradients)  # adds to those of the block's parameters
        return None, x.grad


by_hand = Recompute.apply
"""`x` must require a gradient, as all blocks' inputs do where the embedding is trained."""


def forward(model: GPT, tokens: Tensor, call: Callable[[nn.Module, Tensor], Tensor]) -> Tensor:
    """As ``model(tokens)``, but ``call(block, x)`` stands for ``block(x)``."""
    x = model.embed(tokens)
    for block in model.blocks:
        x = call(block, x)
    return model.output(model.norm(x))


@contextmanager
def kept(model: nn.Module) -> Iterator[dict[int, int]]:
    """Collect, as a context, {address: bytes} that a forward pass keeps for backward, without parameters."""
    found: dict[int, int] = {}
    parameters = {one.untyped_storage().data_ptr() for one in model.parameters()}

    def count(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in parameters:
            found[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        yield found

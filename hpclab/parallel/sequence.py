"""Sequence parallelism: between the matrices that tensor parallelism cuts, a rank has its own tokens only.

Norms and residuals treat each token by itself, so a rank can have 1/t of the tokens. Before the columns these
are gathered, after the rows the sums are scattered. Korthikanti et al. (2023), figure 5. An all-reduce is a
reduce-scatter and an all-gather: no more bytes travel than in `tensor`.

    model = split(GPT(shape, seed), group)
    share_of_loss(model, inputs, targets, group).backward()    # the whole batch on every rank; shares add up
    sum_gradients(not_cut(model), group)
"""

from collections.abc import Iterable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from hpclab.parallel import tensor
from hpclab.workloads.gpt import GPT, loss


def gathered(own: Tensor, group: Any) -> Tensor:
    """All ranks' tokens (dimension 1), in their order."""
    parts = [torch.empty_like(own) for _ in range(dist.get_world_size(group))]
    dist.all_gather(parts, own.contiguous(), group=group)
    return torch.cat(parts, 1)


def scattered(whole: Tensor, group: Any) -> Tensor:
    """The sum over the ranks, of which this rank gets its own tokens."""
    parts = [part.contiguous() for part in whole.chunk(dist.get_world_size(group), 1)]
    own = torch.empty_like(parts[0])
    dist.reduce_scatter(own, parts, group=group)
    return own


def split(model: GPT, group: Any = None) -> GPT:
    """Tensor parallelism, whose f gathers the tokens and whose g scatters them: backward, the other way."""
    return tensor.split(model, group, gathered, scattered)


def share_of_loss(model: GPT, inputs: Tensor, targets: Tensor, group: Any = None) -> Tensor:
    """What this rank's tokens of (batch, length) add to the whole loss; ValueError if not cut evenly."""
    rank, ranks = dist.get_rank(group), dist.get_world_size(group)
    if inputs.shape[1] % ranks:
        raise ValueError(f"{ranks} ranks cannot share {inputs.shape[1]} tokens evenly: choose a multiple.")
    own = inputs.chunk(ranks, 1)[rank]
    return loss(model(own, first=rank * own.shape[1]), targets.chunk(ranks, 1)[rank]) / ranks


def not_cut(model: GPT) -> list[nn.Parameter]:
    """The parameters that every rank holds whole: embeddings, norms, biases after the sum."""
    cut = [f"{name}." for name in tensor.COLUMNS] + [f"{name}.weight" for name in tensor.ROWS]
    return [one for name, one in model.named_parameters() if not any(f".{part}" in name for part in cut)]


def sum_gradients(parameters: Iterable[nn.Parameter], group: Any = None) -> None:
    """Sum over the ranks the gradients of `parameters` that all hold: each rank's are of its own tokens."""
    for parameter in parameters:
        dist.all_reduce(parameter.grad, group=group)

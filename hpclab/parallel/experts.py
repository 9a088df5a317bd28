"""Expert parallelism: many MLPs, of which each token goes through a few, spread over the ranks.

A router sends each token to the `top` experts that it finds the best. They lie on different ranks, so tokens
travel: an all-to-all there, and one back. None is dropped (no capacity), so the most popular expert sets
everybody's pace. Lepikhin et al., "GShard" (2021).

    model = spread(with_experts(GPT(shape), experts=8), group)
    data.share_of_loss(model, inputs, targets, group).backward()
    sequence.sum_gradients(shared(model), group)             # experts saw all ranks' tokens
"""

from functools import partial
from itertools import cycle
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from hpclab.parallel.tensor import Conjugate
from hpclab.workloads.gpt import GPT, MLP


class Experts(nn.Module):
    """A mixture of experts on one process: `count` MLPs of widths `hidden` and `inside` in place of one; a
    token goes through `top` of them. `tokens_per_expert` counts those of each in the last forward pass."""

    def __init__(self, hidden: int, inside: int, count: int, top: int):
        super().__init__()
        self.router, self.top = nn.Linear(hidden, count, bias=False), top
        self.experts = nn.ModuleList(MLP(hidden, inside) for _ in range(count))

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.flatten(0, 1)
        scores = self.router(tokens).softmax(-1)
        weight, chosen = scores.topk(self.top)
        order = chosen.flatten().argsort(stable=True)  # all choices of expert 0, then of expert 1, ...
        self.tokens_per_expert = chosen.flatten().bincount(minlength=scores.shape[1])
        found = self.compute(tokens[order // self.top], self.tokens_per_expert)
        weighted = found * weight.flatten()[order, None]
        return torch.zeros_like(tokens).index_add(0, order // self.top, weighted).view_as(x)

    def compute(self, rows: Tensor, counts: Tensor) -> Tensor:
        """Put `counts[0]` rows through the first expert, and so on; after the last expert the first again."""
        parts = zip(cycle(self.experts), rows.split(counts.tolist()), strict=False)
        return torch.cat([expert(part) for expert, part in parts])


class SpreadExperts(Experts):
    """This rank's part of the Experts `whole`: count / ranks of its MLPs; ValueError if that is not whole."""

    def __init__(self, whole: Any, group: Any):
        nn.Module.__init__(self)
        count, ranks = len(whole.experts), dist.get_world_size(group)
        if count % ranks:
            raise ValueError(f"{ranks} ranks cannot share {count} experts evenly: choose a multiple.")
        self.router, self.top, self.group = whole.router, whole.top, group
        self.experts = whole.experts[dist.get_rank(group) * count // ranks :][: count // ranks]

    def compute(self, rows: Tensor, counts: Tensor) -> Tensor:
        """Exchange how many rows go to each expert, and the rows; compute, and send the results back."""
        coming = torch.empty_like(counts)
        dist.all_to_all_single(coming, counts, group=self.group)
        sent, received = (each.view(-1, len(self.experts)).sum(1).tolist() for each in (counts, coming))
        there, back = partial(all_to_all, sent, received), partial(all_to_all, received, sent)
        here = Conjugate.apply(rows, self.group, there, back)
        # By rank, and then by expert. (By expert alone would be one large product for each, not one a rank.)
        found = super().compute(here, coming)
        return Conjugate.apply(found, self.group, back, there)


def all_to_all(sent: list[int], received: list[int], rows: Tensor, group: Any) -> Tensor:
    """Send `sent[r]` of `rows` to each rank r, in order; return `received[r]` rows from each, in order."""
    arrived = rows.new_empty(sum(received), rows.shape[1])
    dist.all_to_all_single(arrived, rows.contiguous(), received, sent, group=group)
    return arrived


def with_experts(model: GPT, experts: int, top: int = 1) -> GPT:
    """Put Experts in place of each MLP of `model`; return it, initialised anew and the same on every rank."""
    for block in model.blocks:
        block.mlp = Experts(model.shape.hidden, model.shape.feed_forward, experts, top).to(model.token.weight)
    model.initialise(seed=0)
    return model


def spread(model: GPT, group: Any = None) -> GPT:
    """Leave of a model `with_experts` this rank's experts and all the rest, and return it."""
    for block in model.blocks:
        block.mlp = SpreadExperts(block.mlp, group)
    return model


def shared(model: GPT) -> list[nn.Parameter]:
    """All but the experts: what every rank holds, the router too."""
    return [one for name, one in model.named_parameters() if ".experts." not in name]

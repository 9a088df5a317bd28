"""Context parallelism: a sequence too long for one device is cut, and keys and values go round a ring.

Only attention looks at other tokens. A rank keeps its queries and meets the keys and values of one rank after
the other, never of all, which would not fit. What it has found so far is a mean of values, weighted by
exponentials; two of them merge when the logarithm of the sum of the exponentials is kept with each. Liu et
al., "Ring Attention" (2023); backward is FlashAttention's (2022). The loss is `sequence.share_of_loss`.

The causal mask lets the first ranks idle: real programs give a rank a part near the beginning and one near
the end. (PyTorch's own, `context_parallel`, is for GPUs: on CPUs with gloo it fails.)
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from hpclab.workloads.gpt import GPT, Attention


class RingAttention(torch.autograd.Function):
    """Causal attention of own queries to the keys and values of all: (batch, heads, tokens, width)."""

    @staticmethod
    def forward(ctx, group, query, key, value):
        rank, pair = dist.get_rank(group), torch.stack((key, value))
        found = torch.zeros_like(query)
        log_sum = query.new_full((*query.shape[:3], 1), -torch.inf)
        for source, (key_there, value_there) in round_ring(pair, group):
            if source <= rank:  # later ranks' tokens lie in the future
                scores = scored(query, key_there, masked=source == rank)
                merged = torch.logaddexp(log_sum, scores.logsumexp(-1, keepdim=True))
                found = found * (log_sum - merged).exp()  # the mean so far weighs less
                found += (scores - merged).exp() @ value_there
                log_sum = merged
        ctx.save_for_backward(query, pair, found, log_sum)
        ctx.group = group
        return found

    @staticmethod
    def backward(ctx, gradient):
        """Keys and values go round once more. Their gradients go with them, grow, and come home."""
        query, pair, found, log_sum = ctx.saved_tensors
        rank, scale = dist.get_rank(ctx.group), query.shape[-1] ** -0.5
        mean = (gradient * found).sum(-1, keepdim=True)
        of_query, of_pair = torch.zeros_like(query), torch.zeros_like(pair)
        for source, (key_there, value_there) in round_ring(pair, ctx.group):
            if source <= rank:
                weights = (scored(query, key_there, masked=source == rank) - log_sum).exp()
                of_scores = weights * (gradient @ value_there.mT - mean) * scale
                of_query += of_scores @ key_there
                of_pair += torch.stack((of_scores.mT @ query, weights.mT @ gradient))
            of_pair = pass_on(of_pair, ctx.group)()
        return None, of_query, *of_pair


def scored(query: Tensor, key: Tensor, masked: bool) -> Tensor:
    """Scaled scores of each query with each key; if `masked`, for the same tokens, -inf for later keys."""
    scores = query @ key.mT * query.shape[-1] ** -0.5
    later = torch.ones_like(scores, dtype=torch.bool).triu(1)
    return scores.masked_fill(later, -torch.inf) if masked else scores


def round_ring(here: Tensor, group: Any) -> Iterator[tuple[int, Tensor]]:
    """Yield (rank, its tensor) of all ranks, backwards from this one's `here`; the next travels meanwhile."""
    rank, ranks = dist.get_rank(group), dist.get_world_size(group)
    for step in range(ranks - 1):
        arrival = pass_on(here, group)
        yield (rank - step) % ranks, here
        here = arrival()
    yield (rank + 1) % ranks, here


def pass_on(here: Tensor, group: Any) -> Callable[[], Tensor]:
    """Begin to send `here` to the next rank; return a function that waits for the previous rank's tensor."""
    rank, ranks = dist.get_rank(group), dist.get_world_size(group)
    if ranks == 1:
        return lambda: here
    sent = here.cpu() if dist.get_backend(group) == "gloo" else here  # gloo sends from host memory only
    received = torch.empty_like(sent)
    to_next = dist.P2POp(dist.isend, sent, group=group, group_peer=(rank + 1) % ranks)
    from_last = dist.P2POp(dist.irecv, received, group=group, group_peer=(rank - 1) % ranks)
    under_way = dist.batch_isend_irecv([to_next, from_last])

    def arrival() -> Tensor:
        for one in under_way:
            one.wait()
        return received.to(here.device)

    return arrival


def split(model: GPT, group: Any = None) -> GPT:
    """Give `model` attention over all ranks' tokens, and return it; every weight is whole on every rank."""
    for module in model.modules():
        if isinstance(module, Attention):
            module.attend = partial(RingAttention.apply, group)  # type: ignore[method-assign]
    return model

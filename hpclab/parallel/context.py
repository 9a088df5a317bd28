"""Context parallelism: a sequence too long for one device is cut, and keys and values go round a ring.

Everything but attention treats each token by itself. In attention a rank keeps its queries, and meets the
keys and values of one rank after the other: while it computes with those it has, the next ones travel. What
it has found is a mean of values weighted by exponentials; two such means are merged when the logarithm of the
sum of the exponentials is kept with each. Liu et al., "Ring Attention with Blockwise Transformers" (2023);
the backward pass is FlashAttention's (Dao et al., 2022, appendix B.4).

model = split(GPT(shape, seed), group)
share_of_loss(model, inputs, targets, group).backward()    # both of `sequence`
sum_gradients(model.parameters(), group)

Notice the causal mask: rank 0 has nothing to do for most of the time, the last rank something at every step.
Real ones give each rank a part from the beginning and one from the end. (torch's `context_parallel` needs
CUDA: it does not run on gloo.)
"""

from collections.abc import Callable, Iterator
from functools import partial

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import ProcessGroup
from torch.nn import functional

from hpclab.parallel.sequence import gathered, scattered
from hpclab.parallel.tensor import Conjugate
from hpclab.workloads.gpt import GPT, Attention


def gathered_attention(group: ProcessGroup | None, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """The naive way: every rank has the keys and values of all tokens, which was what did not fit."""
    key, value = (
        Conjugate.apply(own.transpose(1, 2), group, gathered, scattered).transpose(1, 2)
        for own in (key, value)
    )
    before = torch.ones(query.shape[2], key.shape[2], dtype=torch.bool, device=query.device)
    seen = before.tril(dist.get_rank(group) * query.shape[2])  # own queries begin so many tokens later
    return functional.scaled_dot_product_attention(query, key, value, seen)


class RingAttention(torch.autograd.Function):
    """Causal attention of own queries to the keys and values of all: (batch, heads, tokens, width)."""

    @staticmethod
    def forward(ctx, group, query, key, value):
        rank = dist.get_rank(group)
        found, log_sum = torch.zeros_like(query), query.new_full((*query.shape[:3], 1), -torch.inf)
        for source, (key_there, value_there) in round_ring(torch.stack((key, value)), group):
            if source <= rank:  # later ranks' tokens lie in the future
                scores = scored(query, key_there, masked=source == rank)
                merged = torch.logaddexp(log_sum, scores.logsumexp(-1, keepdim=True))
                found = found * (log_sum - merged).exp() + (scores - merged).exp() @ value_there
                log_sum = merged
        ctx.save_for_backward(query, key, value, found, log_sum)
        ctx.group = group
        return found

    @staticmethod
    def backward(ctx, gradient):
        """Keys and values go round once more. Their gradients go with them, grow, and come home."""
        query, key, value, found, log_sum = ctx.saved_tensors
        rank, scale = dist.get_rank(ctx.group), query.shape[-1] ** -0.5
        mean = (gradient * found).sum(-1, keepdim=True)
        of_query, of_pair = torch.zeros_like(query), torch.zeros_like(torch.stack((key, value)))
        for source, (key_there, value_there) in round_ring(torch.stack((key, value)), ctx.group):
            if source <= rank:
                weights = (scored(query, key_there, masked=source == rank) - log_sum).exp()
                of_scores = weights * (gradient @ value_there.mT - mean) * scale
                of_query += of_scores @ key_there
                of_pair += torch.stack((of_scores.mT @ query, weights.mT @ gradient))
            of_pair = pass_on(of_pair, ctx.group)()
        return None, of_query, *of_pair


def scored(query: Tensor, key: Tensor, masked: bool) -> Tensor:
    """How well each key fits each query; `masked`: of the same tokens, so that later keys do not count."""
    scores = query @ key.mT * query.shape[-1] ** -0.5
    later = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1)
    return scores.masked_fill(later, -torch.inf) if masked else scores


def round_ring(own: Tensor, group: ProcessGroup | None) -> Iterator[tuple[int, Tensor]]:
    """Each rank's tensor and whose it is, beginning with `own`; the next one travels while one is used."""
    rank, ranks = dist.get_rank(group), dist.get_world_size(group)
    here = own
    for step in range(ranks - 1):
        arrival = pass_on(here, group)
        yield (rank - step) % ranks, here
        here = arrival()
    yield (rank + 1) % ranks, here


def pass_on(here: Tensor, group: ProcessGroup | None) -> Callable[[], Tensor]:
    """Begin to send this to the next rank; what is returned waits for that of the rank before.

    gloo sends from the host's memory, so a tensor on a GPU takes the way through it; NCCL sends it as it is.
    """
    rank, ranks = dist.get_rank(group), dist.get_world_size(group)
    sent = here.cpu() if dist.get_backend(group) == "gloo" else here
    received = torch.empty_like(sent)
    messages = ((dist.isend, sent, rank + 1), (dist.irecv, received, rank - 1))
    under_way = dist.batch_isend_irecv(
        [dist.P2POp(what, which, group=group, group_peer=peer % ranks) for what, which, peer in messages]
    )

    def arrival() -> Tensor:
        for one in under_way:
            one.wait()
        return received.to(here.device)

    return arrival


def split(model: GPT, group: ProcessGroup | None = None, attend: Callable = RingAttention.apply) -> GPT:
    """`model` with attention over all ranks' tokens; every weight is whole on every rank."""
    for module in model.modules():
        if isinstance(module, Attention):
            module.attend = partial(attend, group)  # type: ignore[method-assign]
    return model

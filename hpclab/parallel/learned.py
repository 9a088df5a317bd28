"""Whether ranks that share a model learn what one process learns, and how many bytes they sent for it.

After a step of plain gradient descent every weight that a rank holds whole is held against the one process's;
gradients come to the embeddings through all that is cut.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from hpclab.parallel.memory_by_kind import Volume
from hpclab.parallel.sequence import sum_gradients
from hpclab.units import format_bytes
from hpclab.workloads import gpt

Learned = tuple[Mapping[str, Tensor], Mapping[str, float]]
"""The weights by name after a step, and the bytes that were sent for it by collective."""
SAME = 1e-9


def whole_loss(model: nn.Module, inputs: Tensor, targets: Tensor, group: Any = None) -> Tensor:
    """The loss where every rank has the whole batch; the default of `learned`. `group` is not used."""
    return gpt.loss(model(inputs), targets)


def learned(
    model: Any, batch: Tensor, loss: Callable[..., Tensor] = whole_loss,
    shared: Iterable[nn.Parameter] = (), group: Any = None,
) -> Learned:  # fmt: skip
    """Go backward from ``loss(model, inputs, targets, group)``, and one step down the gradients; of `shared`
    parameters each rank of the group has found a part of the gradient, and these are summed."""
    with Volume() as volume:
        loss(model, batch[:, :-1], batch[:, 1:], group).backward()
        sum_gradients(shared, group)
    torch.optim.SGD(model.parameters(), 0.5).step()
    return {name: weight.detach() for name, weight in model.named_parameters()}, dict(volume.sent)


def compared(runs: Sequence[Learned], alone: Learned) -> str:
    """Text: how far the ranks' weights are from one process's, and what rank 0 sent; ValueError if far."""
    off, names = 0.0, set[str]()
    for weights, _ in runs:
        for name, weight in weights.items():
            if name in alone[0] and weight.shape == alone[0][name].shape:
                names.add(name)
                off = max(off, (weight - alone[0][name]).abs().max().item())
    if not names or off > SAME:
        raise ValueError(f"The ranks learned something else: {len(names)} tensors, up to {off:.2g} apart.")
    sent = ", ".join(f"{format_bytes(size)} by {name}" for name, size in runs[0][1].items())
    return f"weights of {len(names)} tensors differ by {off:.0e} at most\nrank 0 sent {sent}"

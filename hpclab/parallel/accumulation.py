"""Gradient accumulation: a batch that does not fit into memory is computed in parts, whose gradients add up.

`loss_of(inputs, targets)` is the mean of a part; parts are equally large. Each way returns the rank's loss.
"""

from collections.abc import Callable, Sequence

from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from hpclab.parallel.data import Buckets

Loss = Callable[[Tensor, Tensor], Tensor]
Parts = Sequence[tuple[Tensor, Tensor]]


def backward(loss_of: Loss, parts: Parts, of: int) -> float:
    """Add to the gradients what these parts, of so many, bring to the mean; and their share of the loss."""
    total = 0.0
    for inputs, targets in parts:
        loss = loss_of(inputs, targets) / of
        loss.backward()
        total += loss.item()
    return total


def sent_once(sender: Buckets | DistributedDataParallel, loss_of: Loss, parts: Parts) -> float:
    """Only the last backward sends, and while it computes; ``buckets.finish()`` comes after it, as ever.

    Sent after every part it would be as right, for averages of averages are the same, and so many times the
    bytes. With DDP `loss_of` calls it, for its forward belongs inside.
    """
    with sender.no_sync():
        total = backward(loss_of, parts[:-1], len(parts))
    return total + backward(loss_of, parts[-1:], len(parts))

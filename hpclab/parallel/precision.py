"""Mixed precision: 16 bits for matrix products and activations, 32 for weights and optimizer.

BF16 has the range of 32 bits with fewer digits, and needs nothing but autocast:

    with torch.autocast(device, torch.bfloat16):
        value = loss(model(inputs), targets)
    value.backward()                                # gradients and weights stay in 32 bits

FP16 has more digits and less range: below 6e-8 is nothing, above 65,504 infinity. Gradients are small, so the
loss is multiplied by a large number, and, by the chain rule, every gradient is.
"""

import torch
from torch import Tensor


def lost(gradient: Tensor, scale: float = 1.0) -> float:
    """Of the elements that are not 0 the share that FP16, after multiplication by `scale`, makes 0."""
    there = gradient[gradient != 0]
    return ((there * scale).half() == 0).double().mean().item()


class LossScale:
    """Dynamic loss scaling by hand, as torch.amp.GradScaler does it.

    The largest scale that does not overflow is not known and changes, so it is searched all the time: doubled
    after `interval` good steps in a row, halved when a gradient is infinite, and that step is left out.
    """

    def __init__(self, scale: float = 2.0**16, interval: int = 2000):
        self.scale, self.interval, self.good = scale, interval, 0

    def backward(self, loss: Tensor) -> None:
        (loss * self.scale).backward()

    def step(self, optimizer: torch.optim.Optimizer) -> bool:
        """Unscale, look, step or not, and say which. Gradients are averaged over ranks before: all agree."""
        parameters = [one for group in optimizer.param_groups for one in group["params"]]
        gradients = [one.grad for one in parameters if one.grad is not None]
        for gradient in gradients:
            gradient /= self.scale
        if not all(gradient.isfinite().all() for gradient in gradients):
            self.scale, self.good = self.scale / 2, 0
            return False
        optimizer.step()
        self.good += 1
        if self.good % self.interval == 0:
            self.scale *= 2
        return True

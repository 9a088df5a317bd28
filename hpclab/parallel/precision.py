"""Mixed precision: 16 bits for matrix products and activations, 32 for weights and optimizer.

BF16 has the range of 32 bits with fewer digits, and needs nothing but autocast:

    with torch.autocast(device, torch.bfloat16):
        value = loss(model(inputs), targets)
    value.backward()                                # gradients and weights stay in 32 bits

FP16 has more digits and less range: below 3e-8 is nothing, above 65,504 infinity. Gradients are small, so the
loss is multiplied by a large number, and, by the chain rule, every gradient is.
"""

from torch import Tensor


def lost(gradient: Tensor, scale: float = 1.0) -> float:
    """Of the elements that are not 0 the share that FP16, after multiplication by `scale`, makes 0."""
    there = gradient[gradient != 0]
    return ((there * scale).half() == 0).double().mean().item()

"""Loss scaling: FP16 has no numbers below 3e-8 or above 65,504. Gradients are small, so the loss is
multiplied by a large number, and, by the chain rule, every gradient is. (BF16 has the range of float32.)
"""

from torch import Tensor


def lost(gradient: Tensor, scale: float = 1.0) -> float:
    """Share (0 to 1) of the elements other than 0 that are 0 in FP16 after multiplication by `scale`."""
    there = gradient[gradient != 0]
    return ((there * scale).half() == 0).double().mean().item()

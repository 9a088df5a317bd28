# What a model keeps for its backward pass: as it is, in BF16, recomputed.
# Run: python 09_kept_for_backward.py
from functools import partial

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

make = partial(nn.TransformerEncoderLayer, 256, 8, 1024, 0.0)
layers = nn.ModuleList(make() for _ in range(4))  # or a model of your own
inputs = torch.rand(128, 16, 256, requires_grad=True)  # tokens, batch, width
weights = {one.untyped_storage().data_ptr() for one in layers.parameters()}


def step(recomputed=False):
    """Forward and backward; MiB that were kept between them."""
    kept = {}

    def count(tensor):  # called for every tensor that autograd keeps
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(count, lambda kept: kept):
        x = inputs
        for layer in layers:
            call = partial(checkpoint, layer, use_reentrant=False)
            x = call(x) if recomputed else layer(x)
    x.float().square().mean().backward()
    return sum(kept.values()) / 2**20


state = sum(one.numel() * (4 + 4 + 8) for one in layers.parameters()) / 2**20
print(f"state with Adam, float32: {state:7.1f} MiB")
print(f"activations, float32:     {step():7.1f} MiB")
with torch.autocast("cpu", torch.bfloat16):  # "cuda" on a GPU
    print(f"activations, BF16:        {step():7.1f} MiB")
print(f"activations, recomputed:  {step(recomputed=True):7.1f} MiB")

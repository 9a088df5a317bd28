"""Low-rank adapters (LoRA, Hu et al. 2021): fine-tune two thin matrices beside a frozen one. Gradients,
optimizer state and messages shrink with the trained parameters; activations do not.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

ALPHA = 16


class Adapter(nn.Module):
    """A linear layer W with LoRA: x Wᵀ + (ALPHA / rank) x Aᵀ Bᵀ, of which only A (rank, in) and B (out,
    rank), which begins as 0, are trained."""

    def __init__(self, linear: nn.Linear, rank: int):
        super().__init__()
        self.linear, self.scale = linear, ALPHA / rank
        self.a = nn.Parameter(linear.weight.new_empty(rank, linear.in_features))
        self.b = nn.Parameter(linear.weight.new_zeros(linear.out_features, rank))
        nn.init.normal_(self.a, std=linear.in_features**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x) + self.scale * functional.linear(functional.linear(x, self.a), self.b)


def adapt(model: nn.Module, rank: int) -> None:
    """Freeze `model`, and give each query and value layer a LoRA Adapter of `rank`, as the paper does."""
    model.requires_grad_(False)
    for name, module in list(model.named_modules()):
        if name.endswith(("query", "value")):
            model.set_submodule(name, Adapter(module, rank))


@torch.no_grad()
def merge(model: nn.Module) -> None:
    """Replace each Adapter by its linear layer, with W + (ALPHA / rank) B A for W."""
    for name, module in list(model.named_modules()):
        if isinstance(module, Adapter):
            module.linear.weight += module.scale * module.b @ module.a
            model.set_submodule(name, module.linear)

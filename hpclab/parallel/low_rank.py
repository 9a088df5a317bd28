"""Low-rank adapters (LoRA, Hu et al. 2021): fine-tune two thin matrices beside a frozen one.

    adapt(model, rank=8)                                   # freezes everything else
    optimizer = torch.optim.AdamW(data.trained(model))     # state for the adapters alone
    ...                                                    # train
    merge(model)                                           # back into the model's own weights: free to use

Gradients, optimizer state and messages between ranks shrink with the trained parameters; activations do not.
"""

from collections.abc import Collection

import torch
from torch import Tensor, nn
from torch.nn import functional


class Adapter(nn.Module):
    """x Wᵀ + (alpha / rank) x Aᵀ Bᵀ, where only A (rank, in) and B (out, rank) are trained.

    B begins with zeros, so training begins with the model as it was.
    """

    def __init__(self, linear: nn.Linear, rank: int, alpha: float):
        super().__init__()
        self.linear, self.scale = linear, alpha / rank
        self.a = nn.Parameter(linear.weight.new_empty(rank, linear.in_features))
        self.b = nn.Parameter(linear.weight.new_zeros(linear.out_features, rank))
        nn.init.normal_(self.a, std=linear.in_features**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x) + self.scale * functional.linear(functional.linear(x, self.a), self.b)


def adapt(
    model: nn.Module, rank: int, alpha: float = 16, names: Collection[str] = ("query", "value")
) -> None:
    """Freeze the model and put an adapter beside each linear layer of such a name: the paper's by default."""
    model.requires_grad_(False)
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if name in names and isinstance(child, nn.Linear):
                setattr(parent, name, Adapter(child, rank, alpha))


@torch.no_grad()
def merge(model: nn.Module) -> None:
    """W becomes W + (alpha / rank) B A, and the adapters go: a linear layer each, as before."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, Adapter):
                child.linear.weight += child.scale * child.b @ child.a
                setattr(parent, name, child.linear)

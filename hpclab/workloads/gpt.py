"""The language model that lessons 08 to 13 carry: GPT-2's block, written to be read and to be taken apart.

Every kind of parallelism cuts somewhere in here: the batch (data), the two matrices of the MLP and the heads
of attention (tensor), the list of blocks (pipeline), the tokens of a sequence (sequence, context).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from hpclab.models.transformer import Transformer


class Attention(nn.Module):
    """Causal multi-head self-attention: each token looks at itself and those before it. (batch, tokens,
    hidden) in and out, in `heads` heads."""

    def __init__(self, hidden: int, heads: int):
        super().__init__()
        self.width = hidden // heads
        self.query, self.key, self.value = (nn.Linear(hidden, hidden) for _ in range(3))
        self.out = nn.Linear(hidden, hidden)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = (self.split(linear(x)) for linear in (self.query, self.key, self.value))
        return self.out(self.attend(query, key, value).transpose(1, 2).flatten(2))

    def attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Causal attention: the mean of the values up to each token, weighted by keys' fit to its query."""
        return functional.scaled_dot_product_attention(query, key, value, is_causal=True)

    def split(self, x: Tensor) -> Tensor:
        """`x` of (batch, tokens, hidden) as (batch, heads, tokens, width), for as many heads as it holds."""
        return x.unflatten(2, (-1, self.width)).transpose(1, 2)


class MLP(nn.Module):
    """Two linear layers with GELU between, for each token by itself: from `hidden` to `inside` and back."""

    def __init__(self, hidden: int, inside: int):
        super().__init__()
        self.up, self.down = nn.Linear(hidden, inside), nn.Linear(inside, hidden)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(functional.gelu(self.up(x)))


class Block(nn.Module):
    """Attention and MLP, each on a normalised input and added to it."""

    def __init__(self, shape: Transformer):
        super().__init__()
        self.norm_1, self.attention = nn.LayerNorm(shape.hidden), Attention(shape.hidden, shape.heads)
        self.norm_2, self.mlp = nn.LayerNorm(shape.hidden), MLP(shape.hidden, shape.feed_forward)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm_1(x))
        return x + self.mlp(self.norm_2(x))


class GPT(nn.Module):
    """Tokens (batch, length) in, logits of the next token (batch, length, vocabulary) out.

    ValueError where `shape` has gates or shared key heads, or lacks learned positions or biases. The same
    seed gives the same weights on every rank.
    """

    def __init__(self, shape: Transformer, seed: int = 0):
        super().__init__()
        if shape.gated or shape.kv_heads != shape.heads or not (shape.positions and shape.biases):
            raise ValueError(
                "GPT has learned positions, biases, no gates and as many key heads as heads: leave "
                "gated, kv_heads, positions and biases as they are."
            )
        self.shape = shape
        self.token = nn.Embedding(shape.vocabulary, shape.hidden)
        self.position = nn.Embedding(shape.sequence, shape.hidden)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.norm = nn.LayerNorm(shape.hidden)
        self.output = nn.Linear(shape.hidden, shape.vocabulary, bias=False)
        if shape.tied:
            self.output.weight = self.token.weight
        if not self.token.weight.is_meta:  # where there are no numbers, only shapes
            self.initialise(seed)

    def initialise(self, seed: int) -> None:
        """Draw GPT-2's initial weights: normal, standard deviation 0.02, over √(2 layers) for what adds to
        the residual stream; biases 0."""
        source = torch.Generator(self.token.weight.device).manual_seed(seed)
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                into_stream = name.endswith(("out.weight", "down.weight"))
                spread = 0.02 / (2 * self.shape.layers) ** 0.5 if into_stream else 0.02
                nn.init.normal_(parameter, 0.0, spread, generator=source)
            elif "norm" not in name:
                nn.init.zeros_(parameter)

    def embed(self, tokens: Tensor, first: int = 0) -> Tensor:
        """The input of the blocks: each token's embedding plus that of its position, counted from `first`."""
        places = torch.arange(first, first + tokens.shape[1], device=tokens.device)
        return self.token(tokens) + self.position(places)

    def forward(self, tokens: Tensor, first: int = 0) -> Tensor:
        x = self.embed(tokens, first)
        for block in self.blocks:
            x = block(x)
        return self.output(self.norm(x))


def loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy in nats a token; logits (batch, length, vocabulary), targets (batch, length)."""
    return functional.cross_entropy(logits.flatten(0, 1), targets.flatten())


def sample_starts(
    tokens: int, batch: int, length: int, step: int, rank: int = 0, ranks: int = 1
) -> list[int]:
    """Where this rank's batch / ranks samples of `step` begin among `tokens` tokens; each has `length` + 1.
    All ranks draw the same starts, so a batch does not depend on their number; ValueError if they cannot
    share it evenly."""
    if batch % ranks:
        raise ValueError(f"batch must be a multiple of the {ranks} ranks, not {batch}.")
    drawn = torch.randint(tokens - length, (batch,), generator=torch.Generator().manual_seed(step))
    return drawn[rank * batch // ranks : (rank + 1) * batch // ranks].tolist()


def batches(
    tokens: Tensor, batch: int, length: int, step: int, rank: int = 0, ranks: int = 1
) -> tuple[Tensor, Tensor]:
    """This rank's inputs and targets (batch / ranks, length) of a step, from `tokens` in memory."""
    begins = torch.tensor(sample_starts(len(tokens), batch, length, step, rank, ranks))
    windows = tokens[begins[:, None] + torch.arange(length + 1)].long()
    return windows[:, :-1], windows[:, 1:]

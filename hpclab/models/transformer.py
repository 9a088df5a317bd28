"""A transformer's shape: what its parameters and its work are counted from, in models and in real code."""

from dataclasses import dataclass
from typing import Any

from hpclab import checks


@dataclass(frozen=True)
class Transformer:
    """A decoder of `layers` blocks of width `hidden`, on sequences of `sequence` tokens.

    `heads` query heads of width hidden / heads; `kv_heads` key and value heads (0: as many as heads).
    `feed_forward` is the width inside the MLP (0: 4 × hidden); a `gated` one (SwiGLU) has three matrices, not
    two. `tied`: the output layer is the token embedding. `positions`: they are learned, a vector each.
    `biases`: the linear layers have some, and the norms have both scale and shift; without, scale only.
    `dropout`: one after softmax, attention and MLP each, as in GPT-3.
    """

    layers: int
    hidden: int
    heads: int
    sequence: int
    vocabulary: int
    kv_heads: int = 0
    feed_forward: int = 0
    gated: bool = False
    tied: bool = True
    positions: bool = True
    biases: bool = True
    dropout: bool = False

    def __post_init__(self) -> None:
        for name, most in (("layers", 10**4), ("hidden", 2**20), ("heads", 2**14), ("sequence", 2**24),
                           ("vocabulary", 2**24)):  # fmt: skip
            checks.integer(name, getattr(self, name), 1, most)
        for name, given, usual in (("kv_heads", self.kv_heads, self.heads),
                                   ("feed_forward", self.feed_forward, 4 * self.hidden)):  # fmt: skip
            object.__setattr__(self, name, checks.integer(name, given, 0, 2**24) or usual)
        for what, whole, part in (("hidden", self.hidden, self.heads), ("heads", self.heads, self.kv_heads)):
            if whole % part:
                raise ValueError(f"{what} must be a multiple of {part}, not {whole}.")

    @property
    def kv_width(self) -> int:
        """Width of all keys together, and of all values: hidden, or less where heads share them."""
        return self.hidden // self.heads * self.kv_heads

    @property
    def layer_parameters(self) -> int:
        """Parameters of one block: attention, MLP, two norms."""
        h, f = self.hidden, self.feed_forward
        into, out = (2 * f if self.gated else f), h
        weights = h * (h + 2 * self.kv_width) + h * h + h * into + f * h
        biases = (h + 2 * self.kv_width) + h + into + out
        return weights + 2 * h + (biases + 2 * h if self.biases else 0)

    @property
    def embedding_parameters(self) -> int:
        """The token embedding, and the learned positions where there are some."""
        return self.hidden * (self.vocabulary + self.sequence * self.positions)

    @property
    def parameters(self) -> int:
        """All of them: embeddings, blocks, the last norm, and the output layer where it is not tied."""
        norm = self.hidden * (2 if self.biases else 1)
        output = 0 if self.tied else self.hidden * self.vocabulary
        return self.embedding_parameters + self.layers * self.layer_parameters + norm + output

    def forward_flops(self, sequences: float = 1) -> float:
        """FLOP of a forward pass over `sequences` sequences, in matrix products; backward has twice that.

        Attention is counted whole, as Megatron-LM does, although half of it is masked (Narayanan et al.,
        SC21, equation 3).
        """
        h, f, s = self.hidden, self.feed_forward, self.sequence
        weights = h * (h + 2 * self.kv_width) + h * h + (3 if self.gated else 2) * h * f
        a_token = self.layers * (2 * weights + 4 * s * h) + 2 * h * self.vocabulary
        return sequences * s * a_token


_GATED: dict[str, Any] = {"gated": True, "tied": False, "positions": False, "biases": False}
_LLAMA_3 = _GATED | {"kv_heads": 8}
MODELS = {
    "GPT-2 XL, 1.6 B": Transformer(48, 1600, 25, 1024, 50257),
    "Llama 3, 8 B": Transformer(32, 4096, 32, 8192, 128256, feed_forward=14336, **_LLAMA_3),
    "Llama 3, 70 B": Transformer(80, 8192, 64, 8192, 128256, feed_forward=28672, **_LLAMA_3),
    "GPT-3, 175 B": Transformer(96, 12288, 96, 2048, 51200),
}
"""What widgets offer. Radford et al. (2019); Llama team (2024); Brown et al. (2020), its vocabulary padded as
Narayanan et al. (SC21) pad it."""
LLAMA_2 = Transformer(32, 4096, 32, 4096, 32000, feed_forward=11008, **_GATED)
"""7 B (Touvron et al., 2023): 6.7 billion parameters, sequences of 4,096 tokens."""
BLOOM = Transformer(70, 14336, 112, 2048, 250880, positions=False)
"""176 B (BigScience Workshop, 2022); ALiBi in place of learned positions."""

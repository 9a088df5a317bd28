"""Models that were trained and published, by name: their shapes, as papers state them."""

from typing import Any

from hpclab.models.transformer import Transformer

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

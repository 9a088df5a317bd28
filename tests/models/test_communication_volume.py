"""How many bytes a rank sends; `tests/parallel/test_splitting.py` counts them."""

import pytest

from hpclab.models.communication_volume import formula
from hpclab.models.transformer import Transformer

EVERY = ("data", "zero 1", "zero 2", "zero 3", "tensor", "sequence", "context", "expert", "pipeline")


def test_volumes_of_a_large_model_on_1024_gpus():
    """Ratios that the papers state, and how a volume grows."""
    gpt3 = Transformer(layers=96, hidden=12288, heads=96, sequence=2048, vocabulary=51200)
    total = {name: sum(formula(name, gpt3, 1024).values()) for name in EVERY}
    assert total["data"] == pytest.approx(2 * 2 * gpt3.parameters, rel=1e-3)
    assert total["zero 1"] == total["zero 2"] == total["data"]
    assert total["zero 3"] == 1.5 * total["data"]
    assert total["tensor"] == pytest.approx(8 * 96 * 2048 * 12288 * 2, rel=1e-3)
    assert total["sequence"] == pytest.approx(total["tensor"], rel=0.1)  # embeddings are whole here
    assert total["pipeline"] == 2 * 2048 * 12288 * 2
    assert formula("data", gpt3, 8, sequences=64) == formula("data", gpt3, 8)
    assert (
        formula("tensor", gpt3, 8, sequences=64)["all_reduce"]
        == 64 * formula("tensor", gpt3, 8)["all_reduce"]
    )
    grouped = Transformer(layers=96, hidden=12288, heads=96, sequence=2048, vocabulary=51200, kv_heads=8)
    assert formula("context", grouped, 8)["send_recv"] * 12 == formula("context", gpt3, 8)["send_recv"]


def test_another_parallelism_is_refused(refused):
    refused(lambda: formula("tensors", Transformer(1, 8, 1, 8, 8), 2))

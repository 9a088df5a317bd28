"""How many bytes a rank sends; `tests/parallel` counts them."""

import pytest

from hpclab.models import nccl
from hpclab.models.communication_volume import formula, seconds
from hpclab.models.gpu_cluster import named
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
    stream = 2 * 2048 * 12288
    assert total["expert"] == pytest.approx(4 * 96 * stream, rel=2e-3)
    pair = 2 * stream / 1024  # a rank's keys and values; three times round the ring, and gradients home
    assert formula("context", gpt3, 1024)["send_recv"] == pytest.approx(96 * (3 * 1024 - 2) * pair)
    assert total["pipeline"] == 2 * 2048 * 12288 * 2
    assert formula("data", gpt3, 8, sequences=64) == formula("data", gpt3, 8)
    many, one = (formula("tensor", gpt3, 8, sequences=count)["all_reduce"] for count in (64, 1))
    assert many == 64 * one
    grouped = Transformer(layers=96, hidden=12288, heads=96, sequence=2048, vocabulary=51200, kv_heads=8)
    assert formula("context", grouped, 8)["send_recv"] * 12 == formula("context", gpt3, 8)["send_recv"]


def test_what_a_rank_sends_takes_as_long_as_the_collectives_it_is_sent_by():
    """A collective is timed by its own size, not by the bytes on a link."""
    model, job = Transformer(8, 4096, 32, 2048, 32000), named("dgx-h100").job(8)
    for how, what, size in (("data", "all_reduce", 2 * model.parameters),
                            ("pipeline", "send_recv", 2 * 2 * 2048 * 4096)):  # fmt: skip
        expected = nccl.predict(what, size, job).seconds
        assert seconds(formula(how, model, 8), job) == pytest.approx(expected)


def test_another_parallelism_is_refused(refused):
    refused(lambda: formula("tensors", Transformer(1, 8, 1, 8, 8), 2))

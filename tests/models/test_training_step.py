"""A training step holds what is known of its parts, whatever the fitted constants are."""

from dataclasses import fields, replace

import pytest

from hpclab.models import communication_volume, layer_kernels, matmul, memory, nccl, plan, training_step
from hpclab.models.device import from_catalogue
from hpclab.models.gpu_cluster import named
from hpclab.models.layer_kernels import Fitted, Software
from hpclab.models.plan import ZERO, Plan, ZeroStage
from hpclab.models.training_step import predict
from hpclab.models.transformer import Transformer

A100 = matmul.units(from_catalogue("a100-80gb"), "bf16")
MODEL = Transformer(layers=32, hidden=4096, heads=32, sequence=2048, vocabulary=51200)
SMALL_ENDS = replace(MODEL, vocabulary=8, tied=False)
IDEAL = Fitted(launch=0, gap=0)  # of layers nothing but bytes and operations
CLUSTER = named("dgx-a100")
PLANS = [
    *(Plan(64, 2, data=8, zero=stage) for stage in range(len(ZERO))),
    Plan(64, 2, data=4, tensor=4, zero=1), Plan(64, data=2, tensor=8, pipeline=4, recompute="full"),
    Plan(64, data=2, tensor=8, pipeline=4, chunks=2, sequence_parallel=True, fused_attention=False),
    Plan(64, data=4, context=4, recompute="selective", fused_attention=False),
]  # fmt: skip


def test_a_product_takes_waves_of_tiles():
    rows = 27 * 256  # by 512 columns: a tile of 256 × 128 for each multiprocessor
    full = matmul.seconds(rows, 512, 4096, A100)
    assert matmul.seconds(rows - 100, 512, 4096, A100) == pytest.approx(full, rel=1e-6)
    assert matmul.seconds(rows + 1, 512, 4096, A100) > 1.15 * full
    one, more = (matmul.seconds(10 * rows, n, 4096, A100) for n in (512, 520))
    assert more > 1.1 * one  # a column of tiles that are nearly empty
    best = 2 * 8192**3 / matmul.seconds(8192, 8192, 8192, A100)
    assert 0.9 * A100.rate < best < A100.rate
    assert 2 * 8192**2 * 128 / matmul.seconds(8192, 8192, 128, A100) < 0.7 * best  # no k to hide the ramp
    lone = matmul.seconds(128, 128, 2**16, A100)  # one tile: the sum is split over multiprocessors
    assert lone < 2 * 128 * 128 * 2**16 / (A100.rate / 108) / 4
    assert [matmul.aligned(n, 512, 2) for n in (1, 2, 4, 8, 16)] == pytest.approx([0, 1 / 3, 2 / 3, 1, 1])
    narrow = 2 * (65536 * 4096 + 4096 * 16 + 65536 * 16) / A100.bandwidth  # waits for its bytes
    assert matmul.seconds(65536, 16, 4096, A100) == pytest.approx(A100.launch + narrow)
    odd, even = (matmul.seconds(4096, n, 4096, A100) for n in (50257, 50264))
    assert odd > 2 * even
    assert matmul.seconds(2048, 2048, 150, A100, 96) > 5 * matmul.seconds(2048, 2048, 152, A100, 96)


@pytest.mark.parametrize("plan", PLANS, ids=str)
def test_the_parts_make_the_step_and_overlap_never_slows_it(plan):
    step = predict(MODEL, plan, CLUSTER)
    assert step.seconds == pytest.approx(sum(step.parts.values()))
    assert min([*step.parts.values(), *step.hidden.values()]) >= 0
    apart = predict(MODEL, replace(plan, overlap=False), CLUSTER)
    assert [any(one.hidden.values()) for one in (step, apart)] == [True, False]
    assert step.seconds <= apart.seconds
    shown = apart.seconds - step.seconds
    assert shown <= sum(step.hidden.values()) + 1e-9  # what is hidden still takes multiprocessors


def test_a_softmax_that_is_not_fused_reads_and_writes_its_scores():
    """Backward it reads the gradient and its own output, and writes a gradient."""
    forward, backward = layer_kernels.attention(
        layer_kernels.Work(MODEL, Plan(1, fused_attention=False), CLUSTER, fitted=IDEAL)
    )
    assert backward[1].seconds / forward[1].seconds == pytest.approx(3 / 2)


@pytest.mark.parametrize("gated", [False, True])
def test_a_forward_pass_is_two_operations_for_each_weight_and_token(gated):
    model = Transformer(2, 64, 4, 32, 512, feed_forward=100, gated=gated)
    weights = 2 * (4 * 64 * 64 + (3 if gated else 2) * 64 * 100) + 64 * 512
    scores = 2 * 2 * 2 * 32 * 64  # of every token with all 32, and their sum, in both layers
    assert model.forward_flops(3) == 3 * 32 * (2 * weights + scores)


@pytest.mark.parametrize(("gated", "moved"), [(False, (2, 3)), (True, (3, 5))])
def test_an_activation_reads_and_writes_what_lies_inside_the_mlp(gated, moved):
    """Forward: its inputs and its output; backward: the output's gradient, the inputs and their gradients."""
    models = [replace(MODEL, feed_forward=width, gated=gated, biases=False) for width in (8192, 16384)]
    narrow, wide = (
        layer_kernels.elementwise(layer_kernels.Work(model, Plan(1), CLUSTER, Software(adds=True), IDEAL))
        for model in models
    )
    more = [sum(k.seconds for k in w) - sum(k.seconds for k in n) for n, w in zip(narrow, wide, strict=True)]
    each = 2 * MODEL.sequence * 8192 / (A100.bandwidth * IDEAL.streamed)
    assert [seconds / each for seconds in more] == pytest.approx(moved)


def test_recomputing_all_costs_the_forward_pass_once_more():
    plan = Plan(64, 2, data=8, fused_attention=False)
    how = {name: predict(MODEL, replace(plan, recompute=name), CLUSTER, fitted=IDEAL)
           for name in ("none", "selective", "full")}  # fmt: skip
    again = how["full"].parts["recompute"]
    assert how["full"].seconds - how["none"].seconds == pytest.approx(again, rel=0.02)
    computed = sum(how["full"].parts[name] for name in ("matrix products", "attention", "element-wise"))
    assert again == pytest.approx(computed / 3, rel=0.1)
    assert 0 < how["selective"].parts["recompute"] < 0.5 * again
    assert how["none"].parts["recompute"] == 0
    fused = Plan(64, 2, data=8, recompute="selective")
    assert predict(MODEL, fused, CLUSTER).parts["recompute"] == 0


def test_a_pipeline_waits_for_its_ends():
    for stages, chunks, micro in ((4, 1, 8), (8, 1, 64), (4, 2, 8), (4, 4, 64)):
        plan = Plan(micro, pipeline=stages, chunks=chunks)
        parts = predict(SMALL_ENDS, plan, CLUSTER, fitted=IDEAL).parts
        layers = sum(parts[name] for name in ("matrix products", "attention", "element-wise"))
        assert parts["bubble"] / layers == pytest.approx((stages - 1) / (chunks * micro), rel=0.02)
    uneven, even = (
        predict(replace(SMALL_ENDS, layers=n), Plan(64, pipeline=4), CLUSTER).parts for n in (30, 32)
    )
    assert uneven["matrix products"] == even["matrix products"]  # those between still have eight layers
    assert uneven["bubble"] < even["bubble"]
    heavy = predict(replace(MODEL, vocabulary=512_000), Plan(64, pipeline=4), CLUSTER).parts
    assert heavy["bubble"] < 0.1 * heavy["embedding and logits"]
    last = predict(replace(MODEL, layers=30, vocabulary=512_000), Plan(64, pipeline=4), CLUSTER).parts
    assert last["matrix products"] / heavy["matrix products"] == pytest.approx(7 / 8)  # it has one layer less


def test_messages_are_waited_for_by_the_slowest_stage():
    plan, slow = Plan(64, 4, pipeline=16), replace(named("a100-omni-path"), network_bandwidth=10e9)
    light, heavy = (predict(replace(MODEL, vocabulary=words), plan, slow).parts["pipeline messages"]
                    for words in (8, 2**21))  # fmt: skip
    steady, filling = plan.micro_batches, 2 * (plan.pipeline - 1)
    assert light / heavy == pytest.approx((2 * steady + filling) / (steady + filling))
    hidden = predict(MODEL, plan, slow, Software(hide_messages=True)).parts["pipeline messages"]
    assert hidden / heavy == pytest.approx(filling / (steady + filling))


def test_tensor_parallel_sums_four_times_a_layer_and_where_they_hide():
    plan = Plan(8, tensor=8)
    shown, again, split = (predict(MODEL, replace(plan, **how), CLUSTER).parts
                           for how in ({}, {"recompute": "full"}, {"sequence_parallel": True}))  # fmt: skip
    back, gone = (
        predict(MODEL, plan, CLUSTER, Software(hide_tensor=how)).parts for how in ("backward", "all")
    )
    sums = [parts["tensor parallel"] / shown["tensor parallel"] for parts in (again, back, gone)]
    assert sums == pytest.approx([1.5, 0.5, 0])
    assert split["element-wise"] < shown["element-wise"]
    assert split["tensor parallel"] > shown["tensor parallel"]  # inputs are gathered once more


def test_what_sharding_divides_and_what_small_kernels_wait_for():
    whole, shard = (predict(MODEL, Plan(64, data=8, zero=zero), CLUSTER).parts for zero in (0, 1))
    assert shard["optimizer"] == pytest.approx(whole["optimizer"] / 8)
    tiny = Transformer(layers=4, hidden=256, heads=4, sequence=128, vocabulary=512)
    parts = predict(tiny, Plan(4), CLUSTER).parts
    work = layer_kernels.Work(tiny, Plan(1), CLUSTER)
    launched = sum(len(kernels) for kernels in layer_kernels.layer(work)) * Fitted().launch
    names = ("host", "matrix products", "attention", "element-wise", "tensor parallel")
    assert sum(parts[name] for name in names) == pytest.approx(4 * 4 * launched)
    split = predict(tiny, Plan(4, tensor=2), CLUSTER).parts  # while the GPU sums, the host goes on
    sums = 4 * Fitted().launch
    assert sum(split[name] for name in names) == pytest.approx(4 * 4 * (launched + sums))


def test_clusters_share_their_network_and_refuse_what_they_lack():
    lone, all_eight = CLUSTER.group(4, 8), CLUSTER.group(32)
    assert (lone.nodes, lone.network_bandwidth) == (4, 25e9)
    assert (all_eight.nodes, all_eight.network_bandwidth) == (4, 200e9)
    assert CLUSTER.group(8).network is None
    long, split = replace(MODEL, sequence=8192), named("a100-omni-path")
    far, near = (predict(long, Plan(8, context=n), split).parts["context parallel"] for n in (16, 2))
    assert far > 0 == near  # inside a node keys and values come while scores are computed
    with pytest.raises(ValueError, match=r"fp8|FP8"):
        predict(MODEL, Plan(8, precision="fp8"), CLUSTER)
    with pytest.raises(ValueError, match="heads"):
        predict(replace(MODEL, heads=16), Plan(32, tensor=32), CLUSTER)


@pytest.mark.parametrize("name", [field.name for field in fields(Fitted)])
def test_every_fitted_constant_counts(name):
    model, cluster = MODEL, named("dgx-h100" if name == "hopper" else "dgx-a100")
    if name == "launch":
        model = Transformer(layers=4, hidden=256, heads=4, sequence=128, vocabulary=512)
    if name == "misaligned":
        model = replace(MODEL, vocabulary=50257)
    more = replace(Fitted(), **{name: 0.9 * getattr(Fitted(), name)})
    plan = Plan(8)  # no collective, whose ranks are a launch apart
    assert predict(model, plan, cluster, fitted=more).seconds != predict(model, plan, cluster).seconds


@pytest.mark.parametrize(("zero", "part"), [(0, "gradients"), (1, "gradients"), (2, "sharded parameters"),
                                            (3, "sharded parameters")])  # fmt: skip
def test_what_of_a_collective_is_not_hidden_is_exposed(zero, part):
    slow = replace(CLUSTER, network_bandwidth=5e9)
    plan = Plan(32, data=32, zero=zero)
    step, alone = (predict(MODEL, replace(plan, overlap=overlap), slow) for overlap in (True, False))
    hidden = step.hidden[part]
    assert 0 < hidden < 0.9 * alone.parts[part]
    exposed = step.parts[part] - training_step.disturbed(hidden, slow)
    assert exposed + hidden == pytest.approx(alone.parts[part])


def test_bytes_of_the_collectives_of_a_step():
    """Two a weight fetched, four a gradient given back; keys and values go round three times."""
    slow = replace(CLUSTER, network_bandwidth=1e9)
    job = slow.group(32)
    shards = predict(MODEL, Plan(32, data=32, zero=3, overlap=False), slow).parts["sharded parameters"]
    given, fetched = (nccl.predict(what, size * MODEL.layer_parameters, job).seconds
                      for what, size in (("reduce_scatter", 4), ("all_gather", 2)))  # fmt: skip
    assert shards == pytest.approx(32 * (2 * fetched + given), rel=0.01)
    ring = predict(MODEL, Plan(1, context=32), slow).parts["context parallel"]
    one = nccl.predict("send_recv", 2 * 2 * 2048 / 32 * 4096, job).seconds
    assert ring == pytest.approx(32 * 31 * 3 * one, rel=0.02)
    plan = Plan(32, pipeline=4)
    tied, untied = (predict(replace(MODEL, tied=tied), plan, CLUSTER).parts["gradients"]
                    for tied in (True, False))  # fmt: skip
    shared = nccl.predict("all_reduce", 4 * MODEL.hidden * MODEL.vocabulary, CLUSTER.group(2)).seconds
    assert tied - untied == pytest.approx(shared)


def test_a_stage_of_zero_is_a_row(monkeypatch):
    """Weights sharded and gradients whole until the end of a step: sent and held as the row says."""
    row = ZeroStage(("optimizer", "parameters"), ("all_gather", "all_gather"), ("reduce_scatter",))
    for room in (plan, memory, communication_volume, training_step):
        monkeypatch.setattr(room, "ZERO", (*ZERO, row))
    three, ours = (Plan(64, data=64, zero=stage) for stage in (3, 4))
    assert memory.states(1e9, 4, 64) == (2e9 / 64, 2e9, 12e9 / 64)
    sent = [communication_volume.formula(f"zero {stage}", MODEL, 64) for stage in (3, 4)]
    assert sent[0] == sent[1]
    (before, at_once), (after, whole) = (
        (step.parts["gradients"], step.parts["sharded parameters"] + step.hidden["sharded parameters"])
        for step in (predict(MODEL, one, CLUSTER) for one in (three, ours))
    )
    assert before == 0 < after
    assert whole < at_once
    assert ZERO[1].among("all_reduce", 64) == (1, 64)  # nobody else holds the same part


@pytest.mark.parametrize(
    ("precision", "size"), [("fp32", 4), ("tf32", 4), ("bf16", 2), ("fp16", 2), ("fp8", 1)]
)
def test_a_number_of_a_product_has_the_bytes_of_its_precision(precision, size):
    assert matmul.units(from_catalogue("h100-80gb"), precision).element == size

"""Rows of training tables become the plan that ran, or say why not; shipped ones are predicted well."""

from collections import defaultdict
from dataclasses import replace
from statistics import mean

import numpy
import pytest
from scipy.stats import kendalltau

from hpclab.validation import predictions, tables, training_rows
from hpclab.validation.score import scores

MEGATRON = """source,layers,hidden,heads,seq_len_tokens,vocab,gpus,tp,pp,dp,micro_batch_seqs,\
global_batch_seqs,recompute,iteration_time_s
"""
MOSAIC = """source,n_layers,d_model,n_heads,seq_len_tokens,gpus,gpu,micro_batch_seqs_per_gpu,\
global_batch_seqs,precision,mp_mode,sharding_strategy,activation_checkpointing,throughput_tokens_per_s
"""
BARS = {  # the mean error of a shipped table
    "vtrain_single": 0.06, "megatron_sc21": 0.03, "korthikanti": 0.02, "llm_foundry": 0.06, "dgxc": 0.03,
    "bloom": 0.09, "megatron_2020": 0.065, "bigscience_v100": 0.09,
}  # fmt: skip
RANKED = {  # Kendall's tau of one model's plans, and how far what would be picked is from the best; means
    "vtrain_single": (0.88, 0.04), "bigscience_v100": (0.9, 0.01), "bloom": (0.6, 0.02),
}  # fmt: skip


def case(text, **found):
    (one,) = training_rows.read(tables.parse("train_mine.csv", text))
    assert {name: getattr(one.case.plan, name) for name in found} == found
    return one.case


@pytest.mark.parametrize("name", BARS)
def test_shipped_tables_are_predicted_better_than_by_one_share_of_the_peak(name):
    (path,) = [path for path in predictions.shipped("train") if name in path.name]
    score = scores(predictions.predict(path))[0]
    assert score.mean_error < BARS[name]
    assert score.mean_error < score.baseline_mean_error
    assert score.placed == score.rows


@pytest.mark.parametrize("name", RANKED)
def test_plans_of_one_model_are_ranked_nearly_as_they_were_measured(name):
    (path,) = [path for path in predictions.shipped("train") if name in path.name]
    groups = defaultdict(list)
    for one in training_rows.read(predictions.load(path)):
        if isinstance(one.case, training_rows.Case):
            plan, when = one.case.plan, one.row.text("section" if "v100" in name else "phase")
            model = replace(one.case.model, vocabulary=1)  # which is padded to the ranks
            key = model, plan.gpus, plan.batch, plan.recompute, when
            groups[key].append((training_rows.predict(one), one.value, plan))
    several = [rows for rows in groups.values() if len({plan for _, _, plan in rows}) > 2]
    taus = [kendalltau([one[0] for one in rows], [one[1] for one in rows]).statistic for rows in several]
    picked = [min(rows, key=lambda row: row[0])[1] / min(real for _, real, _ in rows) - 1 for rows in several]
    found = [mean(taus), min(taus), mean(picked), max(picked)]
    print(f"\n{name}: {len(taus)} groups; tau and pick, mean and worst: {numpy.round(found, 3)}")
    assert mean(taus) >= RANKED[name][0]
    assert mean(picked) <= RANKED[name][1]


def test_a_row_becomes_the_plan_that_ran():
    row = "korthikanti_tab5,48,6144,64,2048,51200,8,8,1,1,4,4,{},1.2\n"
    case(MEGATRON + row.format("full_recompute"), recompute="full", sequence_parallel=False, zero=0)
    case(MEGATRON + row.format("selective_seqpar"), recompute="selective", sequence_parallel=True)
    one = case(MEGATRON + "vtrain_multi,96,12288,96,2048,,512,8,16,4,6,1536,,20\n", recompute="full")
    assert (one.model.vocabulary, one.cluster.network_bandwidth) == (50257, 100e9)
    case(MEGATRON + "vtrain_single,24,1024,16,1024,,8,8,1,1,1,16,,1\n", recompute="none")
    row = "llm_foundry,32,4096,32,2048,16,{},6,192,amp_{},{},{},{},70000\n"
    text = row.format("h100_80gb", "fp8", "DEFAULT", "FULL_SHARD", True)
    one = case(MOSAIC + text, zero=3, precision="fp8", recompute="full", data=16, micro_batch=6)
    assert (one.cluster.title[:8], one.software.gradient_bytes) == ("DGX H100", 4)
    text = row.format("a100_40gb", "bf16", "PURE", "SHARD_GRAD_OP", False)
    one = case(MOSAIC + text, zero=2, precision="bf16", recompute="none", micro_batches=2)
    assert (one.cluster.memory, one.software.gradient_bytes) == (40e9, 2)
    one = case(MEGATRON + "bigscience_tr11,70,14336,112,2048,250680,384,4,12,8,2,2048,full,105\n", zero=1)
    assert one.model.vocabulary % (128 * 4) == 0


def test_rows_that_cannot_be_placed_say_why(predicted):
    row = "{},24,2304,24,2048,51200,32,1,1,{},16,512,full,{}\n"
    said = {
        row.format("megatron_sc21", 16, 3.5): "its degrees make 16 GPUs, and it has 32",
        row.format("mine", 32, 3.5): "what ran in 'mine' is not known",
        row.format("megatron_sc21", 32, 3.5).replace("2304", "2300"): "hidden must be a multiple of",
        row.format("megatron_sc21", 32, 3.5).replace("51200", ""): "its vocabulary is not stated",
    }
    for text, words in said.items():
        (one,) = predicted(MEGATRON + text, "train_mine.csv")
        assert one.value is None
        assert words in one.note
    both = predicted(MEGATRON + row.format("megatron_sc21", 32, "x") + row.format("megatron_sc21", 32, 3.528),
                     "train_mine.csv")  # fmt: skip
    assert [one.observation.value for one in both] == [3.528]  # the other ran out of memory
    with pytest.raises(ValueError, match="has no times"):
        predicted(MEGATRON + row.format("megatron_sc21", 32, ""), "train_mine.csv")

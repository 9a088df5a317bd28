"""The published rows: complete, cited, refused when damaged; and the models against them."""

import pytest

from hpclab.models.scaling import Amdahl, fit
from hpclab.results import Origin, Result, write_jsonl
from hpclab.validation import scaling_rows

GOOD = (
    "curve,precision,sequence_tokens,gpus,sequences_per_gpu,accumulation_steps,throughput_sequences_per_s\n"
    "amp-128,amp,128,1,60,1024,206.5\n"
)


@pytest.mark.parametrize("curve", scaling_rows.CURVES)
def test_rows_are_complete_and_cited(curve):
    rows = scaling_rows.published(curve)
    assert [row.parameters["gpus"] for row in rows] == [1, 4, 8, 16]
    assert all(row.origin is Origin.PUBLISHED and "DGX-2" in row.source for row in rows)


@pytest.mark.parametrize("curve", scaling_rows.CURVES)
def test_amdahl_from_eight_gpus_predicts_sixteen_within_15_percent(curve):
    *few, last = scaling_rows.published(curve)
    found = fit(Amdahl, [row.parameters["gpus"] for row in few], [row.value for row in few])
    assert found.speed_of_one * found.law.speedup(16) == pytest.approx(last.value, rel=0.15)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "lacks the column"),
        (GOOD.replace("gpus,", "", 1), "lacks the column gpus"),
        (GOOD.replace(",206.5", ",fast"), "row 2: throughput_sequences_per_s must be .* not 'fast'"),
        (GOOD.replace(",206.5", ",nan"), "row 2: throughput"),
        (GOOD.replace(",206.5", ""), "row 2: throughput_sequences_per_s must be .* not None"),
        (GOOD.replace("128,1,", "128,-1,"), "row 2: gpus"),
        (GOOD.replace("amp-128", "other"), "no row of the curve amp-128"),
        ("x" * 2**21, "is larger than"),
        (GOOD + '"' + "y" * 200_000, "not a table in CSV"),
    ],
)
def test_a_damaged_table_is_named(tmp_path, text, said):
    path = tmp_path / "rows.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=said):
        scaling_rows.published(path=path)


def test_binary_is_named(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_bytes(b"\xff\xfe\x00" * 9)
    with pytest.raises(ValueError, match="not a table in CSV"):
        scaling_rows.published(path=path)
    with pytest.raises(ValueError, match="curve must be one of"):
        scaling_rows.published("fp64")


def test_only_recorded_results_are_recorded(tmp_path):
    path = tmp_path / "runs.jsonl"
    write_jsonl([Result("e", "makespan", 1.0, Origin.RECORDED, source="machine, date, command")], path)
    assert scaling_rows.recorded(path)[0].value == 1.0
    write_jsonl([Result("e", "makespan", 1.0, Origin.MEASURED)], path)
    with pytest.raises(ValueError, match="line 1 is measured, not recorded"):
        scaling_rows.recorded(path)

"""`hpclab validate`: a line for each table and quantity, JSON for programs, refusals in one sentence."""

import json
from pathlib import Path

import pytest

from hpclab.cli import main

KEYS = ["table", "quantity", "rows", "placed", "mean_error", "median_error", "p90_error", "max_error", "bias",
        "baseline_mean_error"]  # fmt: skip
GOOD = "gpus,system,size_bytes,time_us\n8,H100,1048576,29\n8,H100,8388608,82\n8,a cluster,8,3\n8,x,8,3\n"


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "nccl mine é.csv"
    path.write_text(GOOD)
    return path


def test_json_has_exactly_the_keys(table, capsys):
    assert main(["validate", str(table), str(table), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [list(one) for one in found] == [KEYS, KEYS]
    assert (found[0]["table"], found[0]["quantity"], found[0]["rows"], found[0]["placed"]) == (
        table.name,
        "time",
        4,
        2,
    )


def test_without_a_file_the_shipped_tables_are_judged(capsys):
    assert main(["validate"]) == 0
    said = capsys.readouterr().out
    assert "nccl_allreduce_h100_nvlink_8gpu.csv" in said
    page = (Path(__file__).resolve().parents[2] / "docs" / "validation.md").read_text()
    assert said.rstrip() in page  # the page shows what the command prints
    assert "Not placed: osu_ib_vs_roce.csv, rows 72–90, 161–179: how many processes" in said


def test_the_screen_names_what_is_not_placed(table, tmp_path, capsys):
    out = tmp_path / "rows.csv"
    assert main(["validate", str(table), "--rows", str(out)]) == 0
    said = capsys.readouterr().out
    assert f"Not placed: {table.name}, rows 4–5: the GPU's model" in said
    assert len(out.read_text().splitlines()) == 5


def test_what_is_read_is_not_overwritten(table, capsys):
    assert main(["validate", str(table), "--rows", str(table)]) == 1
    assert "would overwrite" in capsys.readouterr().err
    assert table.read_text() == GOOD


@pytest.mark.parametrize("name", ["train_x.csv", "none.csv", "nccl_none.csv", "x" * 5000])
def test_a_refusal_is_one_sentence(tmp_path, capsys, name):
    assert main(["validate", str(tmp_path / name)]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("hpclab: ")
    assert len(said.err) < 600
    assert said.err.count("\n") == 1

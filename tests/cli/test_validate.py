"""`hpclab validate`: a line for each table and quantity, JSON for programs, refusals in one sentence."""

import json
from pathlib import Path

import pytest

from hpclab.cli import main

KEYS = ["table", "quantity", "rows", "placed", "mean_error", "median_error", "p90_error", "max_error", "bias",
        "baseline_mean_error", "within_2x", "baseline_within_2x"]  # fmt: skip
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
    assert [found[0][key] for key in KEYS[:4]] == [table.name, "time", 4, 2]


def test_without_a_file_the_shipped_tables_are_judged(capsys):
    assert main(["validate"]) == 0
    said = capsys.readouterr().out
    page = (Path(__file__).resolve().parents[2] / "docs" / "validation.md").read_text()
    assert said.rstrip() in page  # the page shows what the command prints
    assert "Not placed: osu_ib_vs_roce.csv, rows 72–90, 161–179: how many processes" in said


def test_what_is_read_is_not_overwritten(table, capsys):
    assert main(["validate", str(table), "--rows", str(table)]) == 1
    assert "would overwrite" in capsys.readouterr().err
    assert table.read_text() == GOOD


def test_a_bad_file_does_not_hide_the_others_and_what_is_not_placed_is_named(table, tmp_path, capsys):
    out, unreadable = tmp_path / "rows.csv", tmp_path / "nccl.xlsx"
    unreadable.write_bytes(b"PK\x03\x04")
    files = [str(tmp_path / "nccl_none.csv"), str(table), str(unreadable)]
    assert main(["validate", *files, "--rows", str(out)]) == 1
    said = capsys.readouterr()
    assert f"Not placed: {table.name}, rows 4–5: the GPU's model" in said.out
    assert [line[:8] for line in said.err.splitlines()] == ["hpclab: "] * 2
    assert "a spreadsheet or an archive" in said.err
    assert len(out.read_text().splitlines()) == 5
    assert main(["validate", *files[::2]]) == 1
    assert capsys.readouterr().err.count("\nhpclab: ") == 1


def test_how_a_table_was_read_is_said(tmp_path, capsys):
    path = tmp_path / "nccl_excel.csv"
    path.write_text("gpus;system;size_bytes;time_us\n8;H100;1048576;29,5\n8;H100;0;3\n")
    assert main(["validate", str(path)]) == 0
    said = capsys.readouterr().out
    assert "nccl_excel.csv: read with semicolons between columns and decimal commas." in said
    assert "Left out: nccl_excel.csv, row 3: 0 bytes" in said


@pytest.mark.parametrize(("words", "placed"), [((), 0), (("--network", "InfiniBand HDR"), 2)])
def test_the_network_of_rows_that_name_none(tmp_path, capsys, words, placed):
    path = tmp_path / "osu_latency.txt"
    path.write_text("# OSU MPI Latency Test v7.4\n# Size       Avg Latency(us)\n1    1.41\n2    1.40\n")
    assert main(["validate", str(path), "--json", *words]) == 0
    assert json.loads(capsys.readouterr().out)[0]["placed"] == placed

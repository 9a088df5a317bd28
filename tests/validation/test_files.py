"""Tables as people have them: a spreadsheet's CSV, other encodings, other files, rows of 0 bytes."""

import os

import pytest

from hpclab.validation import predictions, tables
from hpclab.validation.score import scores

TABLE = "system,collective,gpus,nodes,size_bytes,time_us\n8x H100 SXM,all_reduce,8,1,8388608,69.1\n"
EXCEL = TABLE.replace(",", ";").replace("69.1", "69,1")


@pytest.mark.parametrize(
    "content",
    [
        TABLE, EXCEL.replace(";", "\t"), "sep=;\r\n" + EXCEL, "\ufeff" + EXCEL.replace("\n", "\r\n"),
        EXCEL.replace("\n", ";;;\n") + ";;;;;;;;\n;;;;;;;;\n", "\n\n" + TABLE,
        TABLE.encode("utf-16"), TABLE.encode("utf-16-le"), TABLE.encode("utf-16-be"),
        TABLE.replace("8x H100", "8× H100").encode("cp1252"), TABLE.replace("8388608", '"8,388,608"'),
        EXCEL.replace("8388608", "8.388.608"), EXCEL.replace("8388608", "8\u00a0388\u202f608"),
        TABLE.replace("8388608", "8'388'608"), TABLE.upper().replace("TIME_US", "Time (us)"),
        TABLE.replace("size_bytes", " Size (B) ").replace("time_us", "time [µs]").replace("gpus", "GPUs"),
        TABLE.replace("time_us", "BusBW (GB/s)").replace("69.1", "212.446"),
    ],
)  # fmt: skip
def test_a_table_says_the_same_in_every_spreadsheets_way(content, predicted):
    (one,) = predicted(content)
    assert one.observation.size == 8388608
    assert one.observation.value == pytest.approx(69.1e-6, rel=1e-5)
    assert one.value is not None


OTHER = {  # kinds of file, by how they begin
    b"PK\x03\x04\x14\x00\x06": "a spreadsheet or an archive", b"%PDF-1.7\n": "a PDF",
    b"\x1f\x8b\x08\x00": "compressed",
    b'{"version": 2}': "JSON", b"\n<!DOCTYPE html>": "HTML", b"\x89PNG\r\n": "a picture",
    b"\x00\x01\x02" * 99: "binary", b"\xff\xfe\x00": "binary", b"gpus\x07,\x81\n": "binary",
}  # fmt: skip


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (TABLE.replace("69.1", "69,1"), r"row 2 has 7 fields for 6 columns \(for decimal commas, separate"),
        (TABLE.replace("69.1", '"69,1"'), "not '69,1'; separate columns with semicolons"),
        (TABLE.replace("69.1", '"69,125"'), "time_us must be a number .* not '69,125'"),
        (EXCEL.replace("8388608", "8388.608"), "size_bytes must be"),
        (EXCEL.replace("8388608", "1,024"), "size_bytes must be a whole number, not 1.024"),
        (TABLE.replace("8388608", "8 MiB"), "size_bytes"), (TABLE.replace("69.1", "12 %"), "time_us"),
        (TABLE.replace("time_us", "time (ms)"), "no column of times"),
        (TABLE.replace("nodes", "Size (B)"), "each once: columns such as .*size_bytes"),
        ("8388608 2097152 float sum -1 69.10\n", "columns such as .*size_bytes"), ("", "is empty"),
        (TABLE.partition("\n")[0], "has no rows"), (TABLE.replace("gpus", "cpus"), "lacks the column gpus"),
        (TABLE + "me,H100,8\n", "row 3 has 3 fields for 6 columns"),
        (TABLE.replace("69.1", "fast"), "row 2: time_us must be .* not 'fast'"),
        (TABLE.replace("8,1,", "8,9,"), "row 2: nodes"), ('"' + "y" * 200_000, "not a table in CSV"),
        *((start, f"is not a table in CSV but .*{kind}.*: save it as CSV") for start, kind in OTHER.items()),
    ],
)  # fmt: skip
def test_what_is_damaged_of_another_kind_or_can_be_read_in_two_ways_is_refused(content, said, predicted):
    with pytest.raises(ValueError, match=said) as refused:
        predicted(content)
    assert "nccl_mine.csv" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_what_is_no_file_is_named(tmp_path):
    (tmp_path / "nccl_d").mkdir()
    os.mkfifo(tmp_path / "nccl_f")
    with (tmp_path / "nccl_5gb.csv").open("wb") as sparse:
        sparse.truncate(5 * 2**30)
    cases = [("nccl_d", "a folder"), ("nccl_f", "no ordinary file"), ("\0", "There is no file")]
    for name, said in [*cases, ("nccl_5gb.csv", "larger than 16 MiB")]:
        with pytest.raises(ValueError, match=said):
            predictions.predict(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("nccl_a.csv", "gpus,system,size_bytes,time_us\n8,H100,0,5.6\n8,H100,1048576,30\n"),
        ("nccl_b.csv", "gpus,system,size_bytes,busbw_gb_per_s\n8,H100,0,0.00\n8,H100,1048576,60\n"),
        ("osu_d.csv", "system,network,test,size_bytes,value,unit\n"
                      "x,HDR,osu_bw,0,0.0,MB/s\nx,HDR,osu_bw,4096,9000,MB/s\n"),
    ],
)  # fmt: skip
def test_rows_of_no_bytes_are_named_and_the_others_scored(name, text, tmp_path, predicted):
    found = predicted(text, name)
    assert [one.value is None for one in found] == [True, False]
    assert (found[0].note, found[0].observation.empty) == ("0 bytes", True)
    (score,) = scores(found)
    assert (score.rows, score.placed) == (1, 1)
    out = tmp_path / "rows.csv"
    predictions.write(found, out)
    assert tables.parse(out.name, out.read_text()).rows[0].text("published", "predicted", "error") == ""

"""Fault 16 on the command line: a wrong word is refused in one sentence that says what is allowed."""

from __future__ import annotations

import pytest

from hpclab.cli import main


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("", "hpclab: the following arguments are required: COMMAND; `hpclab --help` shows"),
        ("no-such", "choose from 'lab', 'doctor', 'slurm', 'rehearse', 'progress', 'validate'"),
        ("slurm", "hpclab slurm: the following arguments are required: ACTION"),
        ("slurm start", "choose from 'up', 'down', 'status', 'logs', 'env'"),
        ("slurm up 4", "hpclab slurm: there is no '4'; `hpclab slurm --help` shows what there is."),
        ("slurm up --nodes", "hpclab slurm up: argument --nodes: expected one argument; `hpclab slurm up"),
        ("doctor --json=3", "hpclab doctor: "),
        ("rehearse 05", "hpclab rehearse: there is no '05'; `hpclab rehearse --help`"),
        ("validate --row", "hpclab validate: argument --rows: expected one argument"),
    ],
)  # fmt: skip
def test_a_word_that_is_not_there(words, said, capsys):
    with pytest.raises(SystemExit) as left:
        main(words.split())
    assert left.value.code == 2
    one_sentence(capsys, said)


@pytest.mark.parametrize(
    "value", ["0", "-1", "65", "2.5", "nan", "inf", "1e30", "text", "", "4; ls", "9" * 5000]
)
def test_a_number_that_cannot_be(value, capsys, state_dir):
    assert main(["slurm", "up", f"--nodes={value}"]) == 1
    one_sentence(capsys, "hpclab: nodes must be a whole number from 1 to 64, not ")
    if value not in ("65", "2.5"):
        assert main(["rehearse", f"--cell-timeout={value}"]) == 1
        one_sentence(capsys, "hpclab: --cell-timeout must be a number from 1 to 36000 seconds, not ")


@pytest.mark.parametrize("word", ["", "-1", "x", "99"])
def test_a_lesson_that_is_not_there(word, capsys):
    assert main(["rehearse", f"--only={word}"]) == 1
    one_sentence(capsys, "hpclab: --only must be one of 00, 01")


@pytest.mark.parametrize("place", ["/proc/course", "/etc/passwd", "~nobody-of-that-name/x", "a\0b"])
def test_a_folder_that_cannot_be(place, capsys):
    assert main(["lab", "--no-slurm", "--no-browser", f"--folder={place}"]) == 1
    one_sentence(capsys, "hpclab: The course cannot be laid out in", "with --folder, or leave it out.")


@pytest.mark.parametrize("place", [".", "", "/proc/rows.csv", "/etc/passwd/rows.csv"])
def test_rows_that_cannot_be_written(place, capsys, monkeypatch):
    monkeypatch.setattr("hpclab.cli.validate.predictions.shipped", list)
    assert main(["validate", f"--rows={place}"]) == 1
    one_sentence(capsys, "hpclab: The rows cannot be written to", "name a file in a folder of yours.")


def one_sentence(capsys, *words):
    said = capsys.readouterr().err
    assert said.count("\n") == 1, said
    assert len(said) < 300, said
    for word in words:
        assert word in said

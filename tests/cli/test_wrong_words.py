"""Fault 16 on the command line: a wrong word is refused in one sentence that says what is allowed."""

import pytest

from hpclab.cli import main


@pytest.mark.parametrize(("words", "said"), [
    ("", "hpclab: the following arguments are required: COMMAND; `hpclab --help` shows"),
    ("no-such", "choose from 'lab', 'doctor', 'slurm', 'rehearse', 'progress', 'validate'"),
    ("slurm start", "choose from 'up', 'down', 'status', 'logs', 'env'"),
    ("slurm up 4", "hpclab slurm: there is no '4'; `hpclab slurm --help` shows what there is."),
    ("slurm up --nodes", "hpclab slurm up: argument --nodes: expected one argument; `hpclab slurm up"),
])  # fmt: skip
def test_a_word_that_is_not_there(words, said, capsys):
    with pytest.raises(SystemExit) as left:
        main(words.split())
    assert left.value.code == 2
    one_sentence(capsys, said)


NO_NUMBERS = ["0", "-1", "nan", "inf", "1e30", "text", "", "4; ls", "9" * 5000]
REFUSED = [
    ("slurm up --nodes=", [*NO_NUMBERS, "65", "2.5"], "nodes must be a whole number from 1 to 64, not "),
    ("rehearse --cell-timeout=", NO_NUMBERS, "--cell-timeout must be a number from 1 to 36000 seconds, not "),
    ("lab --port=", [*NO_NUMBERS, "80", "65536"], "--port must be a whole number from 1024 to 65535"),
    ("rehearse --only=", ["", "-1", "x", "99"], "--only must be one of 00, 01"),
    ("lab --no-slurm --no-browser --folder=", ["/proc/course", "/etc/passwd", "~nobody-so-called/x", "a\0b"],
     "with --folder, or leave it out."),
    ("validate --rows=", [".", "", "/proc/rows.csv", "/etc/passwd/rows.csv"],
     "name a file in a folder of yours."),
    ("validate ", ["train_x.csv", "/none.csv", "nccl_none.csv", "x" * 5000], ""),
]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "value", "said"), [(words, value, said) for words, values, said in REFUSED for value in values]
)
def test_a_value_that_cannot_be(words, value, said, capsys, monkeypatch, state_dir):
    monkeypatch.setattr("hpclab.cli.validate.predictions.shipped", list)
    *before, last = words.split(" ")
    assert main([*before, last + value]) == 1
    one_sentence(capsys, said)


def one_sentence(capsys, words):
    said = capsys.readouterr().err
    assert said.startswith("hpclab"), said
    assert said.count("\n") == 1, said
    assert len(said) < 600, said
    assert words in said

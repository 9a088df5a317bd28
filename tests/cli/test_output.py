"""Every command on an output that lacks signs, is full, or is read no further: plain signs, one sentence."""

import errno
import io
import sys

import pytest

from hpclab.cli import main

COMMANDS = ["validate", "doctor", "slurm status", "rehearse --help", "--help"]


class Taking(io.RawIOBase):
    """A file that takes so many writes, then fails with `number`."""

    def __init__(self, writes=10**6, number=0):
        self.writes, self.number, self.taken = writes, number, b""

    def writable(self):
        return True

    def write(self, data):
        if self.writes <= 0:
            raise OSError(
                self.number, "No space left on device" if self.number != errno.EPIPE else "Broken pipe"
            )
        self.writes -= 1
        self.taken += bytes(data)
        return len(data)


def run(command, monkeypatch, raw, encoding="utf-8", errors="strict"):
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BufferedWriter(raw), encoding, errors))
    try:
        return main(command.split())
    except SystemExit as left:
        return left.code
    finally:
        raw.writes = 10**6  # so that what is left in its buffer goes somewhere


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("encoding", "errors"), [("latin-1", "strict"), ("ascii", "surrogateescape"), ("cp437", "strict")]
)
def test_signs_that_cannot_be_shown_become_plain_ones(command, encoding, errors, monkeypatch, state_dir):
    raw = Taking()
    assert run(command, monkeypatch, raw, encoding, errors) in (0, 3)
    assert len(raw.taken) > 30
    assert raw.taken.count(b"?") <= raw.taken.decode(encoding).count("?")


def test_the_table_has_minus_signs_and_dashes_in_ascii(monkeypatch):
    raw = Taking()
    assert run("validate", monkeypatch, raw, "ascii") == 0
    assert b"|predicted - published|" in raw.taken
    assert b"rows 72-90, 161-179" in raw.taken
    assert b"?" not in raw.taken


@pytest.mark.parametrize(("command", "writes"), [*((command, 0) for command in COMMANDS), ("doctor", 1)])
def test_a_reader_that_left_is_no_failure_to_talk_of(command, writes, monkeypatch, capsys, state_dir):
    raw = Taking(writes, errno.EPIPE)
    assert run(command, monkeypatch, raw) in ((141,) if not writes else (0, 3, 141))
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("command", "number"),
    [*((command, errno.ENOSPC) for command in COMMANDS), ("--help", errno.EIO), ("--help", errno.EDQUOT)],
)
def test_a_full_disk_is_told_in_one_sentence(command, number, monkeypatch, capsys, state_dir):
    assert run(command, monkeypatch, Taking(0, number)) == 1
    assert capsys.readouterr().err == "hpclab: The output cannot be written: No space left on device.\n"


def test_a_closed_output_and_a_file_that_is_full_are_not_mixed_up(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdout", None)
    assert main(["validate"]) == 0
    monkeypatch.undo()

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device", "/data/rows.csv")

    monkeypatch.setattr("hpclab.cli.validate.run", full)
    assert main(["validate"]) == 1
    assert capsys.readouterr().err == "hpclab: /data/rows.csv: No space left on device.\n"


def test_an_interrupt_is_one_word(monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("hpclab.cli.validate.run", interrupted)
    assert main(["validate"]) == 130
    assert capsys.readouterr().err == "hpclab: interrupted.\n"

"""Every command on an output that lacks signs, is full, or is read no further: plain signs, one sentence."""

import errno
import io
import os
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
            raise OSError(self.number, os.strerror(self.number))
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
@pytest.mark.parametrize("how", [("latin-1", "strict"), ("ascii", "surrogateescape"), ("cp437", "strict")])
def test_signs_that_cannot_be_shown_become_plain_ones(command, how, monkeypatch, state_dir):
    raw = Taking()
    assert run(command, monkeypatch, raw, *how) in (0, 3)
    assert len(raw.taken) > 30
    assert b"?" not in raw.taken
    if (command, how[0]) == ("validate", "ascii"):
        assert b"|predicted - published|" in raw.taken
        assert b"rows 72-90, 161-179" in raw.taken


@pytest.mark.parametrize(("command", "writes"), [*((command, 0) for command in COMMANDS), ("doctor", 1)])
def test_a_reader_that_left_is_no_failure_to_talk_of(command, writes, monkeypatch, capsys, state_dir):
    raw = Taking(writes, errno.EPIPE)
    assert run(command, monkeypatch, raw) in ((141,) if not writes else (0, 3, 141))
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("command", "number"), [
    *((command, errno.ENOSPC) for command in COMMANDS), ("--help", errno.EIO),
])  # fmt: skip
def test_a_full_disk_is_told_in_one_sentence(command, number, monkeypatch, capsys, state_dir):
    assert run(command, monkeypatch, Taking(0, number)) == 1
    said = capsys.readouterr().err
    assert said == f"hpclab: The output cannot be written: {os.strerror(number)}.\n"


def test_a_closed_output_is_written_to_by_nobody(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    assert main(["validate"]) == 0


FULL = OSError(errno.ENOSPC, "No space left on device", "/data/rows.csv")


@pytest.mark.parametrize(("error", "status", "words"), [
    (FULL, 1, "/data/rows.csv: No space left on device."), (KeyboardInterrupt(), 130, "interrupted."),
])  # fmt: skip
def test_what_ends_a_command_is_told_in_one_sentence(error, status, words, monkeypatch, capsys):
    monkeypatch.setattr("hpclab.cli.validate.run", lambda _: (_ for _ in ()).throw(error))
    assert main(["validate"]) == status
    assert capsys.readouterr().err == f"hpclab: {words}\n"

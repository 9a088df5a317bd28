"""Summaries: signed by the learner's key, told as altered when they are, and added up for a class."""

import json
import stat
from dataclasses import asdict

import pytest

from hpclab.classroom import summary_file as summary
from hpclab.cli import main
from hpclab.course import Lesson, ledger


def entries(*solved, said=2.0):
    made = [ledger.Entry("prediction", "05", "Speedup", "×", said, 4.0, "measured")]
    made.append(ledger.Entry("solved", "of my own", "x"))  # written by hand: in no summary
    return made + [ledger.Entry("solved", "05", name, score=score) for name in solved for score in (9, 3, 5)]


@pytest.fixture
def sign(tmp_path):
    """A summary, by the key in a folder of this name."""

    def signed(key="a", name="", solved=("ONE",), said=2.0):
        (tmp_path / key).mkdir(exist_ok=True)
        return summary.signed(entries(*solved, said=said), tmp_path / key, name)

    return signed


def test_a_summary_comes_back_with_a_pseudonym_or_a_name(sign, tmp_path, monkeypatch):
    one = summary.read(sign())
    assert one.learner == one.pseudonym
    solved, predicted = one.entries
    assert (solved.kind, solved.lesson, solved.name, solved.score) == ("solved", "05", "ONE", 3)
    assert (predicted.name, predicted.factor, predicted.run, predicted.at) == ("Speedup", 2.0, "", "")
    named = summary.read(sign(name="Ada"))
    assert (named.learner, named.pseudonym) == ("Ada", one.pseudonym)
    assert summary.read(sign("b")).pseudonym != one.pseudonym
    key = tmp_path / "a" / summary.KEY
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    for mode, owner in ((0o640, 0), (0o600, 1)):
        key.chmod(mode)
        monkeypatch.setattr("os.getuid", lambda owner=owner: key.stat().st_uid + owner)  # somebody else's
        with pytest.raises(ValueError, match="no key that is yours alone"):
            sign()


def test_every_change_is_seen(sign):
    file, other = json.loads(sign()), json.loads(sign("b"))
    assert summary.read(json.dumps(file, sort_keys=True, indent=7).encode())  # laid out otherwise: the same
    renamed = json.loads(sign())
    renamed["summary"]["entries"][0]["name"] = "TWO"
    for changed in (file | {"key": other["key"]}, renamed):
        with pytest.raises(ValueError, match="altered after it was signed"):
            summary.read(json.dumps(changed).encode())


ENTRY = {"kind": "solved", "lesson": "05", "name": "ONE", "said": None, "came": None, "score": None}


def forged(tmp_path, body):
    """Signed as it should be, for the key is the learner's, and still no summary."""
    key = summary._key(tmp_path / "key")
    public, signature = key.public_key().public_bytes_raw(), key.sign(summary._signed_bytes(body))
    return json.dumps({"summary": body, "key": public.hex(), "signature": signature.hex()}).encode()


@pytest.mark.parametrize("changes", [
    {"name": "\x1b[2J"}, {"name": None}, {"made": "yesterday"}, {"entries": 3}, {"entries": [{}]},
    *({"entries": [ENTRY | wrong]} for wrong in (
        {"lesson": "5"}, {"name": "\n"}, {"kind": []}, {"score": 1e301}, {"kind": "prediction"}, {"run": "x"},
    )),
])  # fmt: skip
def test_what_is_signed_is_checked_too(tmp_path, changes):
    body = {"name": "", "made": "2026-11-29T12:00:00+00:00", "entries": [ENTRY, ENTRY]}
    assert len(summary.read(forged(tmp_path, body)).entries) == 1  # nobody counts twice
    with pytest.raises(ValueError, match="it is no summary"):
        summary.read(forged(tmp_path, body | changes))


def test_what_is_no_summary_is_refused():
    for content in (b"", b"[]", b'{"summary": 1}', b"[" * 9000, b"\xff",
                    b'{"summary": {}, "key": "00", "signature": "00"}'):  # fmt: skip
        with pytest.raises(ValueError, match="it is no summary"):
            summary.read(content)


def test_a_class_is_added_up(sign, tmp_path, monkeypatch, capsys):
    course = [Lesson("05", "05_x", "Scale out: when?", tmp_path, (), ("ONE", "TWO"))]
    monkeypatch.setattr("hpclab.cli.collect.lessons", lambda: course)
    folder = tmp_path / "in"
    folder.mkdir()
    for key in "012":
        (folder / f"{key}.json").write_bytes(sign(key, said=40.0))
    (folder / "again.json").write_bytes(sign("0", solved=("ONE", "TWO")))  # the newest of its key
    (folder / "torn.json").write_text("{")
    (folder / "large.json").write_text(" " * (summary.LARGEST + 1))
    (folder / "link.json").symlink_to(folder / "0.json")
    text = (folder / "2.json").read_text()
    (folder / "better.json").write_text(text.replace('"ONE"', '"TWO"'))
    assert main(["collect", "--json", str(folder)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert len(told["learners"]) == 3
    assert set(told["refused"]) == {"better.json", "torn.json", "large.json", "link.json"}
    (row,) = told["lessons"]
    assert (row["began"], row["solved"]) == (3, {"ONE": 3, "TWO": 1})
    assert row["predictions"] == {"Speedup": {"count": 3, "off": 10.0, "high": 2}}
    assert main(["collect", str(folder)]) == 0
    said, topics = capsys.readouterr().out.split("To talk about:")
    assert "Not counted: better.json (it was altered after it was signed)." in said
    assert "ONE                      solved by 3 of 3" in said
    assert [line[2:18] for line in topics.splitlines()] == ["", "“Speedup” in les", "TWO in lesson 05"]


def test_the_command_writes_it_for_its_owner_and_hands_in_a_copy(tmp_path, capsys):
    mine, drop = tmp_path / "mine", tmp_path / "drop"
    mine.mkdir()
    drop.mkdir()
    assert main(["summary", "--folder", str(mine)]) == 1
    assert "Nothing is kept yet" in capsys.readouterr().err
    ledger._append(mine / ledger.NAME, [json.dumps(asdict(entry)).encode() for entry in entries("ONE")])
    assert main(["summary", "--folder", str(mine), "--name", "Ada", "--to", str(drop)]) == 0
    assert "as “Ada”" in capsys.readouterr().out
    assert stat.S_IMODE((mine / summary.NAME).stat().st_mode) == 0o600
    (copy,) = drop.iterdir()
    assert stat.S_IMODE(copy.stat().st_mode) == 0o644
    assert summary.read(copy.read_bytes()).learner == "Ada"

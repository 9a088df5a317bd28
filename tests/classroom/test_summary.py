"""Summaries: signed by the learner's key, told as altered when they are, and added up for a class."""

import json
import stat

import pytest

from hpclab.classroom import summary
from hpclab.cli import main
from hpclab.course import ledger


def entries(solved=("ONE",), said=2.0, came=4.0):
    made = [ledger.Entry("prediction", "05", "Speedup", "×", said, came, "measured")]
    made.append(ledger.Entry("solved", "of my own", "x"))  # written by hand: in no summary
    return made + [ledger.Entry("solved", "05", name, score=3.0) for name in solved]


@pytest.fixture
def course(tmp_path, monkeypatch):
    from hpclab.cli import collect
    from hpclab.course import Lesson

    lesson = Lesson("05", "05_x", "Scale out: when?", tmp_path, (), ("ONE", "TWO"))
    monkeypatch.setattr(collect, "lessons", lambda: [lesson])
    return [lesson]


def made(folder, name="", **more):
    folder.mkdir(exist_ok=True)
    return summary.signed(entries(**more), folder, name)


def test_a_summary_comes_back_with_a_pseudonym_or_a_name(tmp_path):
    one = summary.read(made(tmp_path / "a"))
    assert one.learner == one.pseudonym
    assert one.lessons == {
        "05": {"solved": {"ONE": 3.0}, "predictions": {"Speedup": {"off": 2.0, "high": False}}}
    }
    named = summary.read(made(tmp_path / "a", "Ada"))
    assert (named.learner, named.pseudonym) == ("Ada", one.pseudonym)
    assert summary.read(made(tmp_path / "b")).pseudonym != one.pseudonym
    key = tmp_path / "a" / summary.KEY
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    key.chmod(0o644)
    with pytest.raises(ValueError, match="no key that is yours alone"):
        made(tmp_path / "a")


def test_every_change_is_seen(tmp_path):
    file = json.loads(made(tmp_path / "a"))
    assert summary.read(json.dumps(file, sort_keys=True, indent=7).encode())  # laid out otherwise: the same
    file["summary"]["lessons"]["05"]["solved"]["TWO"] = None
    with pytest.raises(summary.Altered):
        summary.read(json.dumps(file).encode())
    other = json.loads(made(tmp_path / "b"))
    with pytest.raises(summary.Altered):
        summary.read(json.dumps(file | {"key": other["key"]}).encode())


def forged(tmp_path, **changes):
    """Signed as it should be, for the key is the learner's, and still no summary."""
    key, body = summary._key(tmp_path / "key"), json.loads(made(tmp_path / "a"))["summary"] | changes
    public, signature = key.public_key().public_bytes_raw(), key.sign(summary._text(body))
    return json.dumps({"summary": body, "key": public.hex(), "signature": signature.hex()}).encode()


def lesson(solved=None, predictions=None):
    return {"05": {"solved": solved or {}, "predictions": predictions or {}}}


@pytest.mark.parametrize("changes", [
    {"name": "\x1b[2J"}, {"name": "x" * 81}, {"name": None}, {"version": 2}, {"made": "yesterday"},
    {"made": 3}, {"lessons": []}, {"lessons": {"5": {}}}, {"lessons": {"05": None}},
    {"lessons": lesson({"ONE": "best"})},
    {"lessons": lesson({"\n": None})}, {"lessons": lesson({}, {"x": {"off": 0.5, "high": True}})},
    {"lessons": lesson({}, {"x": {"off": 2, "high": 1}})},
    {"lessons": lesson({str(n): None for n in range(201)})},
])  # fmt: skip
def test_what_is_signed_is_checked_too(tmp_path, changes):
    assert summary.read(forged(tmp_path))
    with pytest.raises(ValueError, match="no summary has"):
        summary.read(forged(tmp_path, **changes))


@pytest.mark.parametrize("content", [
    b"", b"[]", b"{", b'{"summary": 1}', b"[" * 9000, b"\xff", b'{"summary": NaN}',
    b'{"summary": {}, "key": "00", "signature": "00"}',
])  # fmt: skip
def test_what_is_no_summary_is_refused(content):
    with pytest.raises(ValueError, match="it is no summary"):
        summary.read(content)


def test_a_class_is_added_up(tmp_path, course, capsys):
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.json").write_bytes(made(tmp_path / str(number), said=40.0))
    (folder / "again.json").write_bytes(made(tmp_path / "0", solved=("ONE", "TWO")))  # the newest of its key
    (folder / "torn.json").write_text("{")
    (folder / "large.json").write_text(" " * (summary.LARGEST + 1))
    (folder / "link.json").symlink_to(folder / "0.json")
    text = (folder / "2.json").read_text()
    (folder / "better.json").write_text(text.replace('"ONE"', '"TWO"'))
    assert main(["collect", "--json", str(folder)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert len(told["learners"]) == 3
    assert told["altered"] == ["better.json"]
    assert set(told["unreadable"]) == {"torn.json", "large.json", "link.json"}
    (row,) = told["lessons"]
    assert (row["began"], row["solved"]) == (3, {"ONE": 3, "TWO": 1})
    assert row["together"] == {"count": 3, "off": 10.0, "high": 2}
    assert main(["collect", str(folder)]) == 0
    said = capsys.readouterr().out
    assert "Altered after it was signed, and not counted: better.json." in said
    assert "TWO                      solved by 1 of 3" in said
    assert "“Speedup” in lesson 05, off by 10× (median of 3, 2 too high)" in said


def test_the_command_writes_it_for_its_owner_and_hands_in_a_copy(tmp_path, capsys):
    mine, drop = tmp_path / "mine", tmp_path / "drop"
    mine.mkdir()
    drop.mkdir()
    assert main(["summary", "--folder", str(mine)]) == 1
    assert "Nothing is kept yet" in capsys.readouterr().err
    for entry in entries():
        ledger._append(mine / ledger.NAME, [json.dumps(entry, default=lambda e: {
            name: getattr(e, name) for name in e.__slots__}).encode()])  # fmt: skip
    assert main(["summary", "--folder", str(mine), "--name", "Ada", "--to", str(drop)]) == 0
    assert "as “Ada”" in capsys.readouterr().out
    assert stat.S_IMODE((mine / summary.NAME).stat().st_mode) == 0o600
    (copy,) = drop.iterdir()
    assert stat.S_IMODE(copy.stat().st_mode) == 0o644
    assert summary.read(copy.read_bytes()).learner == "Ada"

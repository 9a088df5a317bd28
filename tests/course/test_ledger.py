"""The ledger forgets nothing, survives what happens to a file, and says how well a learner really guesses."""

import errno
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace

import pytest

from hpclab import cli, course, quality
from hpclab.course import ledger
from hpclab.exercises import Exercise, Verdict, lesson_00, so_far
from hpclab.exercises.prediction import Prediction
from hpclab.results import Result


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """The ledger of a notebook that runs in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(ledger, "_in_a_notebook", lambda: True)
    ledger._say_once.cache_clear()
    return tmp_path / ledger.NAME


def prediction(said, came, **more):
    values = {"kind": "prediction", "lesson": "01", "name": "triad", "unit": "×", "origin": "measured"}
    return ledger.Entry(**values | {"said": said, "came": came} | more)


def asked(said):
    one = Prediction("triad", "%", 0, 1000, "01", "the <bandwidth>", "the cores")
    if said is not None:
        one.commit(said)
    return one


@pytest.mark.parametrize(("said", "came", "title", "look"), [
    (36, 0.2, "Predicted 1.8× too high", "Look first at the <bandwidth>."),
    (2, 0.2, "Predicted 10× too low", "Look first at the cores."),
    (22, 0.2, "Well predicted", ""), (22.1, 0.2, "Predicted 1.1× too high", "Look first at the <bandwidth>."),
    (0, 0.0, "Well predicted", ""), (0, 0.03, "Predicted too low", "Look first at the cores."),
    (5, [], "No verdict yet", "Run the cells above."),
    (None, 0.2, "No prediction", "Commit to a number first"),
])  # fmt: skip
def test_a_verdict_says_the_factor_and_where_to_look(mine, capsys, said, came, title, look):
    asked(said).compare(came)
    printed = capsys.readouterr().out
    assert printed.startswith(title + ".")
    assert look in printed
    assert ("Look first" in printed) == look.startswith("Look first")
    assert [entry.said for entry in ledger.read(mine)] == ([] if came == [] else [said])


def test_of_results_the_median_of_the_strongest_origin_is_judged_unless_they_are_worthless(
    mine, capsys, monkeypatch
):
    results = [Result("x", "speedup", value, "measured") for value in (0.1, 0.2, 0.4)]
    results.append(Result("x", "speedup", 9.0, "emulated", condition="as if"))
    monkeypatch.setattr(quality, "doubt", lambda given: "busy; run again" * (given == results))
    asked(40).compare(results)
    assert "20 % (measured)" in (printed := capsys.readouterr().out)
    assert printed.startswith("No verdict.")
    assert "busy; run again" in printed
    assert ledger.first_predictions(ledger.read(mine)) == []


@pytest.mark.parametrize(("history", "counts"), [
    ([("a", 9, 2), ("a", 2, 2)], [9]),  # said again after the answer
    ([("a", None, 2), ("a", 2, 2)], []),  # skipped, then said
    ([("a", None, 2), ("b", 3, 2)], [3]),  # skipped, and said in another run
    ([("a", 9, 2), ("b", 2, 2)], [9]),  # said in two runs
])  # fmt: skip
def test_only_the_first_prediction_before_the_answer_counts_and_none_is_forgotten(mine, history, counts):
    for run, said, came in history:
        ledger.append(prediction(said, came, run=run))
    entries = ledger.read(mine)
    assert [entry.said for entry in ledger.first_predictions(entries)] == counts
    assert [(entry.run, entry.said, entry.came) for entry in entries] == history


def test_a_prediction_after_the_answer_is_told_so(mine, capsys):
    asked(None).compare(0.2)
    asked(20).compare(0.2)
    assert "does not count: the answer was known" in capsys.readouterr().out


@pytest.mark.parametrize("line", [
    '{"kind": "predic', "[1]", "\0\0", "[" * 100_000, '{"kind": "dream"}', '"\ud800"',
    '{"kind":"solved","lesson":0,"name":"A"}', '{"kind":"solved","lesson":"00","name":"A","new":1}',
    '{"kind":"prediction","lesson":"00","name":"A","came":NaN}',
])  # fmt: skip
def test_a_line_that_cannot_be_read_is_passed_over_and_stays(mine, line):
    ledger.append(first := prediction(1, 2))
    with mine.open("ab") as file:
        file.write(line.encode(errors="surrogatepass"))  # and no end of the line
    before = mine.read_bytes()
    ledger.append(second := prediction(3, 4))
    assert ledger.read(mine) == [first, second]
    assert mine.read_bytes().startswith(before)
    assert mine.stat().st_mode & 0o777 == 0o600


def test_notebooks_that_write_at_once_lose_nothing(mine):
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: ledger.append(prediction(number, 1)), range(400)))
    assert {entry.said for entry in ledger.read(mine)} == set(range(400))


@pytest.mark.parametrize("trouble", ["a folder", "a link", "a full disk", "half a write", "too large"])
def test_what_cannot_be_written_is_said_once_and_the_lesson_goes_on(mine, capsys, monkeypatch, trouble):
    def write(file, data):
        if trouble == "half a write":
            return 1
        raise OSError(errno.ENOSPC, "No space left on device")

    target = mine.with_name("elsewhere")
    if trouble == "a folder":
        mine.mkdir()
    elif trouble == "a link":
        mine.symlink_to(target)
    elif trouble == "too large":
        mine.write_bytes(bytes(ledger.LARGEST))
    else:
        monkeypatch.setattr(os, "write", write)
    for _ in range(2):
        asked(3).compare(0.2)
    assert capsys.readouterr().out.count("are not kept") == 1
    assert not target.exists()


def test_it_is_found_from_the_course_folder_down_and_never_among_the_sources(tmp_path, monkeypatch):
    laid = course.lay_out(tmp_path / "learner").path
    assert ledger.find(laid / "slurm" / "jobs") == laid / ledger.NAME
    assert ledger.find(tmp_path) == tmp_path / ledger.NAME
    assert ledger.find(course.root() / "notebooks") == course.root() / "course" / ledger.NAME
    monkeypatch.chdir(tmp_path)
    asked(3).compare(0.2)  # in a program that is no notebook
    assert not (tmp_path / ledger.NAME).exists()


def test_restoring_adds_what_is_missing_and_an_update_leaves_it_alone(mine, tmp_path):
    for folder in (lost := tmp_path / "lost", new := tmp_path / "new"):
        course.lay_out(folder)
    old, both, later = prediction(1, 2, run="a"), prediction(3, 4, run="b"), prediction(5, 6, run="c")
    for folder, entries in ((lost, (old, both)), (new, (both, later))):
        ledger._append(folder / ledger.NAME, [ledger.json.dumps(ledger.asdict(e)).encode() for e in entries])
    saved = course.save_work(lost / "w.zip", lost)
    assert saved.names == [ledger.NAME]
    for _ in range(2):
        assert course.restore_work(saved.path.read_bytes(), new).kept == []
        assert set(ledger.read(new / ledger.NAME)) == {old, both, later}
        assert len((new / ledger.NAME).read_bytes().splitlines()) == 3
    before = (new / ledger.NAME).read_bytes()
    course.lay_out(new)
    assert (new / ledger.NAME).read_bytes() == before
    (new / ledger.NAME).unlink()
    (new / ledger.NAME).mkdir()
    assert "restore once more" in course.restore_work(saved.path.read_bytes(), new).kept[0]


def test_a_solved_exercise_of_a_lesson_is_kept_with_its_best_score(mine, monkeypatch):
    judge = iter([Verdict(False, "No."), Verdict(True, "Yes.", (7, "%")), Verdict(True, "Yes.", (4.5, "%"))])
    one = Exercise("00", "one", lambda answer: next(judge))
    monkeypatch.setattr(lesson_00, "BACKEND", one)
    for answer in range(3):
        one.check(answer)
    assert [entry.score for entry in ledger.read(mine)] == [7, 4.5]
    _, rows, last = so_far.summary(ledger.read(mine))
    assert rows[0][4:] == ["1 of 2 solved", "BACKEND 4.5 %"]
    assert last.startswith("Next: PACK in lesson 00")
    entries = [*ledger.read(mine), replace(ledger.read(mine)[0], lesson="05")]
    assert " in lesson 05, " in so_far.summary(entries)[2]  # where the learner was last


@pytest.mark.parametrize(("offs", "words"), [
    ([], "No prediction counts yet"), ([2], "1 prediction, off by 2× (median)."),
    ([8, 4, 2, 1], "The first half by 6×, the later half by 1.5×: closer."), ([1, 2, 4, 8], "further off"),
    ([2, 2, 2, 2], "about as far off"), ([float("inf")], "off by over 1,000×"),
])  # fmt: skip
def test_calibration_is_said_in_words_by_notebook_and_command_alike(mine, capsys, offs, words):
    for number, off in enumerate(offs):
        ledger.append(prediction(off if off < 1e9 else 0, 1, name=str(number)))
    so_far.show()
    shown = capsys.readouterr().out
    assert words in shown
    assert cli.main(["progress"]) == 0
    printed = capsys.readouterr().out
    assert printed.strip() in shown if offs else "Nothing is kept yet" in printed


def test_in_a_notebook_it_is_read_as_a_status_and_nothing_in_it_is_markup(mine, monkeypatch):
    shown = []
    display = SimpleNamespace(display=lambda data, raw: shown.append(data))
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: 1, display=display))
    asked(36).compare(0.2)
    ledger.append(ledger.Entry("solved", "00", "<b>", "<i>", score=1))
    so_far.show()
    for one in (verdict := shown[0]["text/html"], shown[1]["text/html"]):
        assert one.count('role="status"') == 1
        assert "<i>" not in one
    assert "the &lt;bandwidth&gt;" in verdict
    assert shown[1]["text/html"].count('<th scope="row">') == len(course.lessons())

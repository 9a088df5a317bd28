"""Laying out, saving and restoring: all of it or nothing, whichever step fails."""

from __future__ import annotations

import contextlib
import errno
import os
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hpclab import course
from hpclab.course import writing


def tree(top: Path) -> dict[str, object]:
    """Everything below `top`: a file's content and mode, None for a folder."""
    return {
        path.relative_to(top).as_posix(): (path.read_bytes(), path.stat().st_mode) if path.is_file() else None
        for path in sorted(top.rglob("*"))
    }


def packed(path: Path, *entries: tuple[str, str]) -> Path:
    with zipfile.ZipFile(path, "w") as bundle:
        for name, content in entries:
            bundle.writestr(name, content)
    return path


@pytest.fixture
def small_course(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    top = tmp_path / "course"
    (top / "slurm" / "jobs").mkdir(parents=True)
    (top / "notebooks").mkdir()
    for number in range(3):
        (top / "notebooks" / f"0{number}_look.ipynb").write_text(f"lesson {number}")
    (top / "slurm" / "jobs" / "hello.sh").write_text("#!/bin/bash\n")
    monkeypatch.setattr("hpclab.course.layout.root", lambda: top)
    return top


class Failing:
    """The step of writing with this number fails; `attempt` says whether there was no such step."""

    def __init__(self, number: int, error: type[BaseException], monkeypatch: pytest.MonkeyPatch):
        self.number, self.error, self.monkeypatch, self.count = number, error, monkeypatch, 0

    def step(self, original: Callable) -> Callable:
        def counted(*arguments: object, **options: object) -> object:
            self.count += 1
            if self.count == self.number:
                raise self.error(errno.ENOSPC, "No space left on device", str(arguments[0]))
            return original(*arguments, **options)

        return counted

    def attempt(self, call: Callable[[], object]) -> bool:
        with self.monkeypatch.context() as patch:
            for name in ("write_bytes", "replace", "mkdir", "chmod"):
                patch.setattr(Path, name, self.step(getattr(Path, name)))
            with contextlib.suppress(self.error):
                call()
        return self.count < self.number


def each_step_fails(monkeypatch: pytest.MonkeyPatch, error: type[BaseException]) -> Iterator[Callable]:
    """Attempts in which the first, second, ... step fails."""
    for number in range(1, 200):
        yield Failing(number, error, monkeypatch).attempt


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_restoring_is_put_back_whichever_step_fails(small_course, tmp_path, monkeypatch, error):
    folder = tmp_path / "mine"
    course.lay_out(folder)
    (folder / "02_look.ipynb").write_text("changed since")
    saved = packed(
        tmp_path / "w.zip", ("00_look.ipynb", "my answer"), ("new/a/b.txt", "1"), ("02_look.ipynb", "older"),
        ("slurm/jobs/hello.sh", "#!/bin/sh\n"), ("last.txt", "2"),
    )  # fmt: skip
    before, attempts = tree(folder), 0
    for attempt in each_step_fails(monkeypatch, error):
        attempts += 1
        if attempt(lambda: course.restore_work(saved, folder)):
            break
        assert tree(folder) == before
    assert attempts > 15
    assert (folder / "00_look.ipynb").read_text() == "my answer"
    assert (folder / "02_look.restored.ipynb").read_text() == "older"
    assert os.access(folder / "slurm" / "jobs" / "hello.sh", os.X_OK)


def test_laying_out_leaves_nothing_of_itself_whichever_step_fails(small_course, tmp_path, monkeypatch):
    home = tmp_path / "home"
    home.mkdir()
    for attempt in each_step_fails(monkeypatch, OSError):
        if attempt(lambda: course.lay_out(home / "a" / "hpclab")):
            break
        assert tree(home) == {}
    assert len(course.lay_out(home / "a" / "hpclab").written) == 0
    assert (home / "a" / "hpclab" / "02_look.ipynb").read_text() == "lesson 2"


def test_an_interrupted_save_keeps_the_earlier_zip(tmp_path, monkeypatch):
    (tmp_path / "mine.txt").write_text("first")
    course.save_work(tmp_path / "w.zip", tmp_path)
    before = (tmp_path / "w.zip").read_bytes()
    (tmp_path / "mine.txt").write_text("second")
    for attempt in each_step_fails(monkeypatch, OSError):
        if attempt(lambda: course.save_work(tmp_path / "w.zip", tmp_path)):
            break
        assert (tmp_path / "w.zip").read_bytes() == before
        assert sorted(tree(tmp_path)) == ["mine.txt", "w.zip"]


BAD = {
    "a file where a folder must be": [("notes/a.txt", "x")],
    "a name too long in bytes": [("é" * 200 + ".txt", "x")],
    "one name twice": [("b.txt", "x"), ("b.txt", "y")],
    "one name twice, written differently": [("c/b.txt", "x"), ("c//b.txt", "y")],
    "a file that is a folder as well": [("d", "x"), ("d/e.txt", "y")],
}


@pytest.mark.parametrize("entries", BAD.values(), ids=list(BAD))
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_zip_that_cannot_be_restored_whole_changes_nothing(tmp_path: Path, entries, refused):
    (folder := tmp_path / "in").mkdir()
    (folder / "notes").write_text("a file of that name")
    before = tree(folder)
    saved = packed(tmp_path / "w.zip", ("good.txt", "fine"), *entries)
    refused(lambda: course.restore_work(saved, folder))
    assert tree(folder) == before


def test_a_folder_where_a_file_must_be_is_kept_and_said(tmp_path: Path):
    (tmp_path / "in" / "notes.txt").mkdir(parents=True)
    saved = packed(tmp_path / "w.zip", ("notes.txt", "mine"), ("notes.restored.txt", "another"))
    restored = course.restore_work(saved, tmp_path / "in")
    assert (tmp_path / "in" / "notes.txt").is_dir()
    assert (tmp_path / "in" / "notes.restored.txt").read_text() == "mine"
    assert (tmp_path / "in" / "notes.restored.restored.txt").read_text() == "another"
    assert len(restored.kept) == 2


def test_names_that_are_one_on_this_file_system_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """As A.txt and a.txt are on macOS; here by a link of two folders to one."""
    (tmp_path / "one").mkdir()
    (tmp_path / "two").symlink_to(tmp_path / "one")
    files = {tmp_path / "one" / "a.txt": b"1", tmp_path / "two" / "a.txt": b"2"}
    with pytest.raises(OSError, match="one name"):
        writing.write_all(files, tmp_path)
    assert list((tmp_path / "one").iterdir()) == []


@pytest.mark.parametrize("name", ["what:why.txt", "a\\b.txt", "new\nline.txt", b"latin-\xe9.txt"])
def test_what_could_not_be_restored_is_not_saved_in_silence(tmp_path: Path, name: str | bytes):
    (tmp_path / os.fsdecode(name)).write_text("x")
    (tmp_path / "good.txt").write_text("fine")
    os.utime(tmp_path / "good.txt", (0, 0))  # before 1980, which a zip cannot say
    saved = course.save_work(tmp_path / "w.zip", tmp_path)
    assert saved.names == ["good.txt"]
    assert len(saved.left_out) == 1
    saved.left_out[0].encode()
    (tmp_path / "in").mkdir()
    assert course.restore_work(saved.path, tmp_path / "in").names == ["good.txt"]


@pytest.mark.skipif(os.getuid() == 0, reason="root may write and read everywhere")
def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path):
    saved = packed(tmp_path / "w.zip", ("a.txt", "x"))
    (tmp_path / "in").mkdir(mode=0o500)
    with pytest.raises(OSError, match="Nothing was restored: this folder cannot be written"):
        course.restore_work(saved, tmp_path / "in")

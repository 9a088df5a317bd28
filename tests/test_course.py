"""The course as files: found, laid out without overwriting, saved and restored."""

from __future__ import annotations

import json
import stat
import zipfile
from pathlib import Path

import pytest

from hpclab import course
from hpclab.course import finder, work


def notebook(text: str, **metadata: object) -> str:
    cells = [{"cell_type": "markdown", "id": "a", "metadata": {}, "source": [text]}]
    return json.dumps({"cells": cells, "metadata": {"hpclab": metadata}, "nbformat": 4, "nbformat_minor": 5})


@pytest.fixture
def small_course(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A course of two notebooks and one job script, in place of the real one."""
    top = tmp_path / "course"
    (top / "notebooks").mkdir(parents=True)
    (top / "slurm" / "jobs").mkdir(parents=True)
    (top / "notebooks" / "00_look.ipynb").write_text(notebook("# Look\nAround."))
    (top / "notebooks" / "01_run.ipynb").write_text(notebook("# Run it", needs=["slurm"]))
    (top / "slurm" / "jobs" / "hello.sh").write_text("#!/bin/bash\nhostname\n")
    (top / "slurm" / "jobs" / "hello.sh").chmod(0o755)
    monkeypatch.setattr("hpclab.course.finder.root", lambda: top)
    monkeypatch.setattr("hpclab.course.layout.root", lambda: top)
    return top


def test_the_real_course_is_found_and_every_lesson_has_a_title():
    found = course.lessons()
    assert found, "no lessons in notebooks/"
    for lesson in found:
        assert lesson.path.is_file()
        assert lesson.number == lesson.name[:2]
        assert len(lesson.title) > 5


def test_every_real_lesson_says_what_it_needs():
    for lesson in course.lessons():
        assert "hpclab" in json.loads(lesson.path.read_text())["metadata"], lesson.name


def test_lessons_carry_title_and_needs(small_course: Path):
    look, run = course.lessons()
    assert (look.number, look.name, look.title, look.needs) == ("00", "00_look", "Look", ())
    assert run.needs == ("slurm",)


@pytest.mark.parametrize(
    "content", ["not json", "[]", '{"cells": 3}', "\x00\x01", notebook("# a", needs=["luck"])]
)
def test_a_broken_notebook_is_named(small_course: Path, content: str):
    (small_course / "notebooks" / "01_run.ipynb").write_text(content)
    with pytest.raises(ValueError, match="01_run"):
        course.lessons()


def test_a_missing_course_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(finder, "__file__", str(tmp_path / "a" / "b" / "finder.py"))
    with pytest.raises(FileNotFoundError, match="install hpclab again"):
        course.root()


def test_lay_out_copies_everything_and_twice_changes_nothing(small_course: Path, tmp_path: Path):
    folder = tmp_path / "my course é"
    first = course.lay_out(folder)
    assert {path.name for path in first.written} == {"00_look.ipynb", "01_run.ipynb", "hello.sh"}
    assert (folder / "slurm" / "jobs" / "hello.sh").stat().st_mode & 0o111
    second = course.lay_out(folder)
    assert (second.written, second.kept) == ([], [])


def test_an_unchanged_file_is_updated_and_a_changed_one_is_kept(small_course: Path, tmp_path: Path):
    folder = tmp_path / "learner"
    course.lay_out(folder)
    mine = notebook("# Look\nmy answer")
    (folder / "00_look.ipynb").write_text(mine)
    for name in ("00_look", "01_run"):
        (small_course / "notebooks" / f"{name}.ipynb").write_text(notebook("# Version 2"))
    update = course.lay_out(folder)
    assert (folder / "00_look.ipynb").read_text() == mine
    assert "Version 2" in (folder / "00_look.new.ipynb").read_text()
    assert "Version 2" in (folder / "01_run.ipynb").read_text()
    assert len(update.kept) == 1
    assert "00_look.new.ipynb" in update.kept[0]
    again = course.lay_out(folder)
    assert (again.written, again.kept) == ([], [])
    (small_course / "notebooks" / "00_look.ipynb").write_text(notebook("# Version 3"))
    course.lay_out(folder)
    assert "Version 2" in (folder / "00_look.new.ipynb").read_text()
    assert "Version 3" in (folder / "00_look.new2.ipynb").read_text()


def test_a_deleted_lesson_comes_back_and_a_foreign_file_stays(small_course: Path, tmp_path: Path):
    folder = tmp_path / "learner"
    folder.mkdir()
    (folder / "00_look.ipynb").write_text("mine before the course came")
    course.lay_out(folder)
    assert (folder / "00_look.ipynb").read_text() == "mine before the course came"
    (folder / "01_run.ipynb").unlink()
    course.lay_out(folder)
    assert (folder / "01_run.ipynb").is_file()


def test_a_damaged_manifest_makes_every_file_the_learners(small_course: Path, tmp_path: Path):
    course.lay_out(tmp_path / "l")
    (tmp_path / "l" / ".hpclab" / "laid_out.json").write_text("{broken")
    (small_course / "notebooks" / "00_look.ipynb").write_text(notebook("# Version 2"))
    course.lay_out(tmp_path / "l")
    assert "Around" in (tmp_path / "l" / "00_look.ipynb").read_text()


def test_a_link_is_never_written_through(small_course: Path, tmp_path: Path):
    folder, outside = tmp_path / "l", tmp_path / "outside.ipynb"
    course.lay_out(folder)
    (folder / "00_look.ipynb").rename(outside)
    (folder / "00_look.ipynb").symlink_to(outside)
    before = outside.read_text()
    (small_course / "notebooks" / "00_look.ipynb").write_text(notebook("# Version 2"))
    course.lay_out(folder)
    assert outside.read_text() == before


def test_work_makes_the_round_trip_to_a_new_session(small_course: Path, tmp_path: Path):
    lost, fresh = tmp_path / "lost", tmp_path / "fresh"
    for folder in (lost, fresh):
        course.lay_out(folder)
    (lost / "00_look.ipynb").write_text(notebook("# Look\nmy answer is 7"))
    (lost / "notes").mkdir()
    (lost / "notes" / "mine.txt").write_text("what I learnt")
    (lost / ".secret").write_text("not yours")
    saved = course.save_work(lost / "my-work.zip", lost)
    assert saved.names == ["00_look.ipynb", "notes/mine.txt"]
    assert course.save_work(lost / "my-work.zip", lost).names == saved.names, "the zip does not save itself"
    restored = course.restore_work(lost / "my-work.zip", fresh)
    assert restored.kept == []
    for name in saved.names:
        assert (fresh / name).read_bytes() == (lost / name).read_bytes()
    assert not (fresh / ".secret").exists()


def test_restore_never_overwrites_a_newer_change(small_course: Path, tmp_path: Path):
    folder = tmp_path / "l"
    course.lay_out(folder)
    (folder / "00_look.ipynb").write_text("saved")
    course.save_work(folder / "w.zip", folder)
    (folder / "00_look.ipynb").write_text("newer")
    restored = course.restore_work(folder / "w.zip", folder)
    assert (folder / "00_look.ipynb").read_text() == "newer"
    assert (folder / "00_look.restored.ipynb").read_text() == "saved"
    assert "00_look.restored.ipynb" in restored.kept[0]


BAD_NAMES = ["../up.txt", "/etc/up.txt", "a/../../up.txt", "C:\\up.txt", "a\\..\\up.txt", ".bashrc",
             "a/.ssh/authorized_keys", "new\nline", "x" * 300]  # fmt: skip


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_zip_that_would_write_elsewhere_is_refused_whole(tmp_path: Path, name: str):
    with zipfile.ZipFile(tmp_path / "w.zip", "w") as bundle:
        bundle.writestr("good.txt", "fine")
        bundle.writestr(name, "bad")
    (tmp_path / "in").mkdir()
    with pytest.raises(ValueError, match="nothing was restored"):
        course.restore_work(tmp_path / "w.zip", tmp_path / "in")
    assert list((tmp_path / "in").iterdir()) == []


def test_links_in_a_zip_and_in_the_folder_are_refused(tmp_path: Path):
    (tmp_path / "in").mkdir()
    with zipfile.ZipFile(tmp_path / "w.zip", "w") as bundle:
        entry = zipfile.ZipInfo("link")
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        bundle.writestr(entry, "/etc")
    with pytest.raises(ValueError, match="link"):
        course.restore_work(tmp_path / "w.zip", tmp_path / "in")
    (tmp_path / "in" / "notes").symlink_to(tmp_path)
    with zipfile.ZipFile(tmp_path / "w.zip", "w") as bundle:
        bundle.writestr("notes/x.txt", "through the link")
    with pytest.raises(ValueError, match="is a link"):
        course.restore_work(tmp_path / "w.zip", tmp_path / "in")
    assert not (tmp_path / "x.txt").exists()


def test_a_zip_that_unpacks_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(work, "LARGEST_FILE", 1000)
    with zipfile.ZipFile(tmp_path / "w.zip", "w", zipfile.ZIP_DEFLATED) as bundle:
        bundle.writestr("zeros.bin", bytes(100_000))
    with pytest.raises(ValueError, match="too large"):
        course.restore_work(tmp_path / "w.zip", tmp_path)
    monkeypatch.setattr(work, "MOST_FILES", 3)
    with zipfile.ZipFile(tmp_path / "w.zip", "w") as bundle:
        for number in range(4):
            bundle.writestr(f"{number}.txt", "")
    with pytest.raises(ValueError, match="more than 3 files"):
        course.restore_work(tmp_path / "w.zip", tmp_path)


def test_too_large_a_file_is_left_out_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(work, "LARGEST_FILE", 1000)
    (tmp_path / "big.bin").write_bytes(bytes(2000))
    (tmp_path / "small.txt").write_text("x")
    saved = course.save_work(tmp_path / "w.zip", tmp_path)
    assert saved.names == ["small.txt"]
    assert "big.bin" in saved.left_out[0]


@pytest.mark.parametrize("cut", [0, 10, 60])
def test_a_damaged_zip_is_said_to_be_damaged(tmp_path: Path, cut: int):
    (tmp_path / "a.txt").write_text("some work " * 100)
    course.save_work(tmp_path / "w.zip", tmp_path)
    (tmp_path / "w.zip").write_bytes((tmp_path / "w.zip").read_bytes()[:cut])
    with pytest.raises(ValueError, match="upload it again"):
        course.restore_work(tmp_path / "w.zip", tmp_path)


def test_a_bit_flip_is_noticed(tmp_path: Path):
    (tmp_path / "a.txt").write_text("".join(str(n) for n in range(4000)))
    path = course.save_work(tmp_path / "w.zip", tmp_path).path
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 0x10
    path.write_bytes(content)
    with pytest.raises(ValueError, match="upload it again"):
        course.restore_work(path, tmp_path)


def test_a_missing_zip_says_upload_first(tmp_path: Path):
    with pytest.raises(ValueError, match="upload your saved zip"):
        course.restore_work(tmp_path / "none.zip", tmp_path)

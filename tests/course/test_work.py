"""Saving and restoring, and laying out: all of it or nothing, whichever step fails, whatever is in a zip."""

import contextlib
import errno
import io
import os
import stat
import zipfile
from pathlib import Path

import pytest

from hpclab import course
from hpclab.course import work, writing


def tree(top):
    """Everything below a folder: a file's content and mode, None for a folder."""
    found = {path.relative_to(top).as_posix(): path for path in sorted(top.rglob("*"))}
    return {
        name: (path.read_bytes(), path.stat().st_mode) if path.is_file() else None
        for name, path in found.items()
    }


def packed(*entries):
    """A zip of these entries, each a name and its content."""
    with zipfile.ZipFile(archive := io.BytesIO(), "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, content in entries:
            bundle.writestr(name, content)
    return archive.getvalue()


def test_work_makes_the_round_trip_to_a_new_session(small_course, tmp_path):
    lost, fresh = tmp_path / "lost", tmp_path / "fresh"
    for folder in (lost, fresh):
        course.lay_out(folder)
    (lost / "00_look.ipynb").write_text("my answer is 7")
    (lost / "notes").mkdir()
    (lost / "notes" / "mine.txt").write_text("what I learnt")
    (lost / ".secret").write_text("not yours")
    (lost / "slurm-17.out").touch()  # a job that said nothing
    saved = course.save_work(lost / "my-work.zip", lost)
    assert saved.names == ["00_look.ipynb", "notes/mine.txt"]
    assert course.save_work(lost / "my-work.zip", lost).names == saved.names, "the zip does not save itself"
    restored = course.restore_work(saved.path.read_bytes(), fresh)
    assert restored.kept == []
    assert all((fresh / name).read_bytes() == (lost / name).read_bytes() for name in saved.names)
    assert not (fresh / ".secret").exists()


def each_step_fails(monkeypatch, call, error=OSError):
    """Make the first, second, ... step of writing in `call` fail, until there is no such step any more."""
    taken = []

    def failing(name, number):
        original = getattr(Path, name)

        def step(place, *arguments, **options):
            taken.append(name)
            if len(taken) == number:
                raise error(errno.ENOSPC, "No space left on device", str(place))
            return original(place, *arguments, **options)

        return step

    for number in range(1, 200):
        taken.clear()
        with monkeypatch.context() as patch, contextlib.suppress(error):
            for name in ("write_bytes", "replace", "mkdir", "chmod"):
                patch.setattr(Path, name, failing(name, number))
            call()
        if len(taken) < number:
            return
        yield number


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_restoring_is_put_back_whichever_step_fails(small_course, tmp_path, monkeypatch, error):
    folder = tmp_path / "mine"
    course.lay_out(folder)
    (folder / "01_run.ipynb").write_text("changed since")
    saved = packed(
        ("00_look.ipynb", "my answer"), ("new/a/b.txt", "1"), ("01_run.ipynb", "older"),
        ("slurm/jobs/hello.sh", "#!/bin/sh\n"), ("last.txt", "2"),
    )  # fmt: skip
    before = tree(folder)
    attempts = each_step_fails(monkeypatch, lambda: course.restore_work(saved, folder), error)
    seen = [tree(folder) == before for _ in attempts]
    assert len(seen) > 15
    assert all(seen)
    assert (folder / "00_look.ipynb").read_text() == "my answer"
    assert (folder / "01_run.ipynb").read_text() == "changed since"
    assert (folder / "01_run.restored.ipynb").read_text() == "older"
    assert os.access(folder / "slurm" / "jobs" / "hello.sh", os.X_OK)


def test_laying_out_leaves_nothing_of_itself_whichever_step_fails(small_course, tmp_path, monkeypatch):
    home = tmp_path / "home"
    home.mkdir()
    for _ in each_step_fails(monkeypatch, lambda: course.lay_out(home / "a" / "hpclab")):
        assert tree(home) == {}
    assert len(course.lay_out(home / "a" / "hpclab").names) == 0
    assert (home / "a" / "hpclab" / "01_run.ipynb").is_file()


def test_an_interrupted_save_keeps_the_earlier_zip(tmp_path, monkeypatch):
    (tmp_path / "mine.txt").write_text("first")
    course.save_work(tmp_path / "w.zip", tmp_path)
    before = (tmp_path / "w.zip").read_bytes()
    (tmp_path / "mine.txt").write_text("second")
    for _ in each_step_fails(monkeypatch, lambda: course.save_work(tmp_path / "w.zip", tmp_path)):
        assert (tmp_path / "w.zip").read_bytes() == before
        assert sorted(tree(tmp_path)) == ["mine.txt", "w.zip"]


A_LINK = zipfile.ZipInfo("link")
A_LINK.external_attr = (stat.S_IFLNK | 0o777) << 16
SSH = "a/.ssh/authorized_keys"
OUTSIDE = ["/etc/up.txt", "a/../../up.txt", "C:\\up.txt", SSH, "new\nline", "x" * 300, A_LINK]
BAD = {
    **{f"outside {number}": [(name, "bad")] for number, name in enumerate(OUTSIDE)},
    "through a link": [("up/x.txt", "x")],
    "a file where a folder must be": [("notes/a.txt", "x")],
    "a name too long in bytes": [("é" * 200 + ".txt", "x")],
    "one name twice, written differently": [("c/b.txt", "x"), ("c//b.txt", "y")],
    "a file that is a folder as well": [("d", "x"), ("d/e.txt", "y")],
    "too large when unpacked": [("zeros.bin", "\0" * 10_000)],
    "too many": [(f"{number}.txt", "") for number in range(4)],
}


@pytest.mark.parametrize("entries", BAD.values(), ids=list(BAD))
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_zip_that_cannot_be_restored_whole_changes_nothing(tmp_path, monkeypatch, entries, refused):
    monkeypatch.setattr(work, "LARGEST_FILE", 1000)
    monkeypatch.setattr(work, "MOST_FILES", 4)
    (folder := tmp_path / "in").mkdir()
    (folder / "notes").write_text("a file of that name")
    (folder / "up").symlink_to(tmp_path)
    saved = packed(("good.txt", "fine"), *entries)
    before = tree(tmp_path)
    refused(lambda: course.restore_work(saved, folder))
    assert tree(tmp_path) == before


@pytest.mark.parametrize("cut", [0, 10, 60, None])
def test_a_damaged_zip_is_said_to_be_damaged(tmp_path, cut):
    (tmp_path / "a.txt").write_text("".join(str(n) for n in range(4000)))
    path = course.save_work(tmp_path / "w.zip", tmp_path).path
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 0x10 if cut is None else 0
    with pytest.raises(ValueError, match="upload it again"):
        course.restore_work(bytes(content[:cut]), tmp_path)


def test_a_folder_where_a_file_must_be_is_kept_and_said(tmp_path):
    (tmp_path / "in" / "notes.txt").mkdir(parents=True)
    saved = packed(("notes.txt", "mine"), ("notes.restored.txt", "another"))
    restored = course.restore_work(saved, tmp_path / "in")
    assert (tmp_path / "in" / "notes.txt").is_dir()
    assert (tmp_path / "in" / "notes.restored.txt").read_text() == "mine"
    assert (tmp_path / "in" / "notes.restored.restored.txt").read_text() == "another"
    assert len(restored.kept) == 2


def test_names_that_are_one_on_this_file_system_are_refused(tmp_path):
    """As A.txt and a.txt are on macOS; here by a link of two folders to one."""
    (tmp_path / "one").mkdir()
    (tmp_path / "two").symlink_to(tmp_path / "one")
    files = {tmp_path / "one" / "a.txt": b"1", tmp_path / "two" / "a.txt": b"2"}
    with pytest.raises(OSError, match="one name"):
        writing.write_all(files, tmp_path)
    assert list((tmp_path / "one").iterdir()) == []


@pytest.mark.parametrize("name", ["what:why.txt", b"latin-\xe9.txt", "too large.bin"])
def test_what_could_not_be_restored_is_not_saved_in_silence(tmp_path, monkeypatch, name):
    monkeypatch.setattr(work, "LARGEST_FILE", 1000)
    (tmp_path / os.fsdecode(name)).write_bytes(bytes(2000 * (name == "too large.bin")))
    (tmp_path / "good.txt").write_text("fine")
    os.utime(tmp_path / "good.txt", (0, 0))  # before 1980, which a zip cannot say
    saved = course.save_work(tmp_path / "w.zip", tmp_path)
    assert (saved.names, len(saved.kept)) == (["good.txt"], 1)
    saved.kept[0].encode()
    (tmp_path / "in").mkdir()
    assert course.restore_work(saved.path.read_bytes(), tmp_path / "in").names == ["good.txt"]


@pytest.mark.skipif(os.getuid() == 0, reason="root may write and read everywhere")
def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    saved = packed(("a.txt", "x"))
    (tmp_path / "in").mkdir(mode=0o500)
    with pytest.raises(OSError, match="Nothing was restored: this folder cannot be written"):
        course.restore_work(saved, tmp_path / "in")

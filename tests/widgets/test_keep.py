"""The two controls that carry a learner's work across a lost session."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import pytest

from hpclab.course import save_work
from hpclab.widgets import keep


def parts(folder: Path):
    row, said = keep.controls(folder).children
    return *row.children, said


def upload(content: bytes, size: int | None = None) -> dict:
    value = {
        "name": "w.zip",
        "type": "application/zip",
        "content": memoryview(content),
        "last_modified": None,
    }
    return {"new": ({**value, "size": len(content) if size is None else size},)}


def test_saved_through_the_button_and_restored_through_the_upload(tmp_path: Path):
    lost, new = tmp_path / "lost", tmp_path / "new"
    lost.mkdir()
    new.mkdir()
    (lost / "mine.txt").write_text("my answer")
    save, _, said = parts(lost)
    save.click()
    assert "1 file of yours" in said.value
    content = base64.b64decode(re.search(r"base64,([^\"]+)", said.value)[1])
    assert content == (lost / "my-work.zip").read_bytes()
    _, control, said = parts(new)
    control.notify_change({"name": "value", "type": "change", "old": (), "owner": control, **upload(content)})
    assert "1 file brought back" in said.value
    assert (new / "mine.txt").read_text() == "my answer"


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04" + b"\x00" * 50])
def test_what_is_no_zip_gets_one_sentence_and_no_traceback(tmp_path: Path, content: bytes):
    _, control, said = parts(tmp_path)
    control.notify_change({"name": "value", "type": "change", "old": (), "owner": control, **upload(content)})
    assert 'role="alert"' in said.value
    assert "upload it again" in said.value
    assert list(tmp_path.iterdir()) == []


def test_too_large_an_upload_is_refused_unread(tmp_path: Path):
    _, control, said = parts(tmp_path)
    change = {"name": "value", "type": "change", "old": (), "owner": control, **upload(b"", 10**10)}
    control.notify_change(change)
    assert "too large" in said.value


def test_a_large_zip_is_downloaded_from_the_file_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(keep, "_LARGEST_LINK", 10)
    (tmp_path / "mine.txt").write_text("my answer")
    save, _, said = parts(tmp_path)
    save.click()
    assert "right-click" in said.value
    assert "base64" not in said.value
    assert save_work(tmp_path / "my-work.zip", tmp_path).names == ["mine.txt"]


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path):
    (tmp_path / "file").write_text("")
    save, _, said = parts(tmp_path / "file")
    save.click()
    assert "could not be written" in said.value

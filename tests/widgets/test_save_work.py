"""What cannot be saved or restored is said; tests/browser/test_save_work.py does both as a learner does."""

import pytest

from hpclab.widgets import save_work


def parts(folder):
    row, said = save_work.controls(folder).children
    return *row.children, said


def upload(control, content, size=None):
    new = ({"name": "w.zip", "content": memoryview(content), "size": len(content) if size is None else size},)
    control.notify_change({"name": "value", "type": "change", "old": (), "new": new, "owner": control})


@pytest.mark.parametrize(
    ("content", "size", "said"), [(b"no zip", None, "upload it again"), (b"", 10**10, "too large")]
)
def test_what_cannot_be_restored_gets_one_sentence_and_no_traceback(tmp_path, content, size, said):
    save, control, shown = parts(tmp_path)
    assert save.tooltip
    assert control.tooltip
    upload(control, content, size)
    assert 'role="alert"' in shown.value
    assert said in shown.value
    assert list(tmp_path.iterdir()) == []


def test_a_large_zip_is_in_the_file_list_and_a_folder_that_cannot_be_written_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(save_work, "_LARGEST_LINK", 10)
    (tmp_path / "mine.txt").write_text("my answer")
    for folder, word in ((tmp_path, "right-click"), (tmp_path / "mine.txt", "could not be written")):
        save, _, said = parts(folder)
        save.click()
        assert word in said.value
        assert "base64" not in said.value

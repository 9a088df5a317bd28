"""Save my work, and get it back, as a learner does: a link that holds the zip, a file chosen to restore."""

import zipfile

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_work_is_saved_by_keyboard_and_comes_back(lab, tmp_path):
    lab.write_notebook("keep.ipynb", "from hpclab.widgets import save_work\nsave_work.controls()")
    notes, saved, wrong = lab.folder / "my-notes.txt", tmp_path / "my-work.zip", tmp_path / "no.zip"
    notes.write_text("what I learnt")
    wrong.write_text("not a zip")
    with lab.opened("keep.ipynb") as notebook:
        notebook.run_all()
        cell = notebook.cells.first
        cell.get_by_role("button", name="Save my work").focus()
        notebook.page.keyboard.press("Enter")
        with notebook.page.expect_download(timeout=120_000) as download:
            cell.get_by_role("link", name="Download my-work.zip").click()
        download.value.save_as(saved)
        assert "my-notes.txt" in zipfile.ZipFile(saved).namelist()
        notes.unlink()
        for file, said in ((saved, "brought back"), (wrong, "no readable zip")):
            with notebook.page.expect_file_chooser() as chooser:
                cell.get_by_role("button", name="Restore from a file").click()
            chooser.value.set_files(file)
            cell.get_by_text(said).wait_for(timeout=120_000)
        assert notes.read_text() == "what I learnt"
        assert not notebook.errors()

"""Lesson 00 as a learner meets it: run all, read the table, save the work, get it back."""

import zipfile

import pytest

from hpclab import course

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def lesson(lab):
    notebook = lab.open_notebook("00_start_here.ipynb")
    notebook.run_all(timeout=180)
    return notebook


def upload(lesson, path):
    with lesson.page.expect_file_chooser() as chooser:
        lesson.cell_with("keep.controls()").get_by_role("button", name="Restore from a file").click()
    chooser.value.set_files(path)


def test_it_runs_untouched(lesson):
    assert lesson.errors() == []
    assert "Not solved yet" in lesson.cell_with("lesson_00.BACKEND.check").inner_text()


def test_the_table_is_a_table_with_named_rows(lesson):
    rows = lesson.cell_with("capabilities.table()").locator(".hpclab-can tr")
    names = rows.locator("th[scope=row]").all_inner_texts()
    assert names[:4] == ["cores", "memory", "GPU", "Slurm"]
    assert names[7:] == [one.number for one in course.lessons()]
    assert {text.strip(" ●◐○") for text in rows.locator(".state").all_inner_texts()} <= {
        "yes",
        "partly",
        "no",
    }


def test_nothing_is_wider_than_its_cell_and_no_text_is_small(lesson):
    table = lesson.page.locator(".hpclab-can").first
    assert table.evaluate("e => e.scrollWidth <= e.clientWidth + 1")
    size = table.locator("td").last.evaluate("e => parseFloat(getComputedStyle(e).fontSize)")
    assert size >= 18.6, "14 pt, to be read from the last row of a room"


def test_a_prediction_is_kept_and_drawn(lesson):
    cell = lesson.cell_with("predict.ask(guess)")
    cell.locator("input").first.fill("0.5")
    cell.get_by_role("button", name="Commit").click()
    cell.get_by_text("You predicted 0.5 s.").wait_for(timeout=10_000)
    assert lesson.evaluate("guess.value") == 0.5
    assert "you predicted 500 ms" in lesson.evaluate("one_axis.draw(title, results, guess.value)")


def test_work_is_saved_by_keyboard_and_the_link_holds_the_zip(lesson, tmp_path):
    (lesson.lab.folder / "my-notes.txt").write_text("what I learnt")
    cell = lesson.cell_with("keep.controls()")
    cell.get_by_role("button", name="Save my work").focus()
    lesson.page.keyboard.press("Enter")
    with lesson.page.expect_download(timeout=20_000) as download:
        cell.get_by_role("link", name="Download my-work.zip").click()
    download.value.save_as(tmp_path / "my-work.zip")
    assert "my-notes.txt" in zipfile.ZipFile(tmp_path / "my-work.zip").namelist()
    (lesson.lab.folder / "my-notes.txt").unlink()
    upload(lesson, tmp_path / "my-work.zip")
    cell.get_by_text("brought back").wait_for(timeout=20_000)
    assert (lesson.lab.folder / "my-notes.txt").read_text() == "what I learnt"


def test_a_file_that_is_no_zip_gets_a_sentence(lesson, tmp_path):
    (tmp_path / "no.zip").write_text("not a zip")
    cell = lesson.cell_with("keep.controls()")
    upload(lesson, tmp_path / "no.zip")
    cell.get_by_text("not a readable zip file").wait_for(timeout=20_000)
    assert lesson.errors() == []

"""The course as files: found, and laid out without ever overwriting what a learner changed."""

import pytest

from hpclab import course
from hpclab.course import layout
from hpclab.kernels import cpu
from tests.course.conftest import notebook


def test_lessons_carry_title_needs_and_exercises(small_course):
    (small_course / "notebooks" / "02_do.ipynb").write_text(notebook("# 02. Do\nlesson_02.A_B.check(x)"))
    look, run, do = course.lessons()
    assert (look.number, look.name, look.title, look.needs) == ("00", "00_look", "Look", ())
    assert run.needs == ("slurm",)
    assert (do.title, do.exercises) == ("Do", ("A_B",))


@pytest.mark.parametrize("content", ["not json", "[]"])
def test_a_broken_notebook_is_named(small_course, content):
    (small_course / "notebooks" / "01_run.ipynb").write_text(content)
    with pytest.raises(ValueError, match="01_run"):
        course.lessons()


def test_a_missing_course_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr(layout, "__file__", str(tmp_path / "a" / "b" / "layout.py"))
    with pytest.raises(FileNotFoundError, match="install hpclab again"):
        course.root()


def test_lay_out_copies_everything_and_twice_changes_nothing(small_course, tmp_path):
    folder = tmp_path / "my course é"
    first = course.lay_out(folder)
    assert set(first.names) == {"00_look.ipynb", "01_run.ipynb", "slurm/jobs/hello.sh"}
    assert (folder / "slurm" / "jobs" / "hello.sh").stat().st_mode & 0o111
    second = course.lay_out(folder)
    assert (second.names, second.kept) == ([], [])


def test_an_unchanged_file_is_updated_and_a_changed_one_is_kept(small_course, tmp_path):
    folder = tmp_path / "learner"
    folder.mkdir()
    (folder / "01_run.ipynb").write_text("mine before the course came")
    course.lay_out(folder)
    assert (folder / "01_run.ipynb").read_text() == "mine before the course came"
    (folder / "01_run.ipynb").unlink()
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
    assert (again.names, again.kept) == ([], [])
    (small_course / "notebooks" / "00_look.ipynb").write_text(notebook("# Version 3"))
    course.lay_out(folder)
    assert "Version 2" in (folder / "00_look.new.ipynb").read_text()
    assert "Version 3" in (folder / "00_look.new2.ipynb").read_text()


@pytest.mark.parametrize("damage", ["the manifest", "a link"])
def test_what_cannot_be_told_from_the_learners_own_is_kept(small_course, tmp_path, damage):
    mine = tmp_path / "l" / "00_look.ipynb"
    course.lay_out(mine.parent)
    if damage == "a link":
        mine.rename(tmp_path / "outside.ipynb")
        mine.symlink_to(tmp_path / "outside.ipynb")
    else:
        (mine.parent / ".hpclab" / "laid_out.json").write_text("{broken")
    (small_course / "notebooks" / "00_look.ipynb").write_text(notebook("# Version 2"))
    course.lay_out(mine.parent)
    assert "Around" in mine.read_text()
    assert mine.is_symlink() == (damage == "a link")


def test_kernels_and_methods_are_shown_as_they_are_written(capsys):
    course.show_source(cpu.sum_scalar, course.Lesson)
    said = capsys.readouterr().out
    assert "def sum_scalar(" in said
    assert "class Lesson:" in said


def test_a_script_is_shown_with_its_name(capsys):
    course.show_script("05")
    ((name, path),) = ((n, p) for n, p in layout.originals().items() if n.startswith("slurm/jobs/plain/05_"))
    assert capsys.readouterr().out == f"# {name}\n{path.read_text('utf-8')}\n"

"""Sources under a cell stand as they were written."""

from hpclab import course
from hpclab.course import layout
from hpclab.kernels import cpu


def test_kernels_and_methods_are_shown_as_they_are_written(capsys):
    course.show_source(cpu.sum_scalar, course.Lesson)
    said = capsys.readouterr().out
    assert "def sum_scalar(" in said
    assert "class Lesson:" in said


def test_a_script_is_shown_with_its_name(capsys):
    course.show_script("05")
    ((name, path),) = ((n, p) for n, p in layout.originals().items() if n.startswith("slurm/jobs/plain/05_"))
    assert capsys.readouterr().out == f"# {name}\n{path.read_text('utf-8')}\n"

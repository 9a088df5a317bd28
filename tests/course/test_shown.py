"""Sources under a cell stand as they were written."""

from hpclab import course
from hpclab.course import layout
from hpclab.kernels import cpu


def test_kernels_and_methods_are_shown_as_they_are_written(capsys):
    course.show_source(cpu.sum_scalar, course.Layout)
    said = capsys.readouterr().out
    assert "def sum_scalar(" in said
    assert "class Layout:" in said


def test_a_script_is_shown_with_its_name(capsys, tmp_path, monkeypatch):
    script = tmp_path / "05_map.py"
    script.write_text("print('mine')")
    monkeypatch.setattr("hpclab.course.shown.originals", lambda: {"slurm/jobs/plain/05_map.py": script})
    course.show_script("05")
    assert capsys.readouterr().out == "# slurm/jobs/plain/05_map.py\nprint('mine')\n"
    assert layout.originals()["glossary.md"].name == "glossary.md"

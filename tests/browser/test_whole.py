"""Every lesson whole in a browser, for a learner who presses Run All: `make soak`. `make test` drives one."""

import re

import pytest

from hpclab import course

pytestmark = [pytest.mark.browser, pytest.mark.soak, pytest.mark.slurm, pytest.mark.timeout(900)]


@pytest.mark.parametrize("lesson", course.lessons(), ids=lambda lesson: lesson.name)
def test_run_all(lab, lesson):
    with lab.opened(lesson.path.name) as notebook:
        notebook.run_all()
        assert notebook.errors() == []
        text = lesson.path.read_text(encoding="utf-8")
        for name in re.findall(r"\.([A-Z_]+)\.check\(", text):
            said = notebook.cell_with(f"{name}.check").inner_text()
            assert "Not solved yet" in said, name

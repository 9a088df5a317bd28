"""Every lesson on a site of two and of three hosts, as its ordinary user, run as tests/lessons runs it."""

import os
import re
import sys

import pytest

from hpclab import course

pytestmark = [pytest.mark.soak, pytest.mark.slurm, pytest.mark.timeout(900)]
ALONE = ("-q", "-p", "no:cacheprovider", "-p", "no:timeout", "-c", os.devnull)
NBVAL = ("--nbval-lax", "--nbval-current-env", "--nbval-cell-timeout=180", *ALONE)


@pytest.fixture(scope="module", params=[2, 3], ids="{} hosts".format)
def site(request, new_site):
    with new_site(request.param) as one:
        one.python("from hpclab import course; course.lay_out('course')")
        yield one


@pytest.mark.parametrize("lesson", course.lessons(), ids=lambda lesson: lesson.name)
def test_it_runs_untouched(lesson, site):
    words = [sys.executable, "-m", "pytest", *NBVAL, "--rootdir=.", lesson.path.name]
    said = site.run(*words, cwd=f"{site.home}/course", timeout=600)
    assert re.search(r"\d+ passed", said)
    assert "failed" not in said.splitlines()[-1]

"""`hpclab rehearse --site` across hosts: a lesson's job on one node has its pool's job on another."""

import json
import sys

import pytest

from tests.course.conftest import notebook

pytestmark = [pytest.mark.slurm, pytest.mark.slow, pytest.mark.timeout(300)]
CELLS = (
    "from hpclab.cluster import Pool\nimport socket\npool = Pool(nodes=1, join_timeout=120)",
    # The rehearsal looks three times a second for pools: this one is open for many looks.
    "import time\nthere = pool.workers()[0].host\ntime.sleep(6)\npool.close()\n"
    "assert there != socket.gethostname()",
    "script = '#!/bin/sh\\nhostname\\n'\nopen('job.sh', 'w').write(script)\n"
    "said = get_ipython().getoutput('sbatch --wait job.sh; cat slurm-*.out')\nassert 'c' in said[-1], said",
)


def test_a_lessons_pool_and_its_own_jobs_run_beside_its_job(new_site):
    with new_site(2, cores=1) as site:
        site.path("ada/notebooks").mkdir()
        text = notebook("# A lesson\nAbout 30 minutes.", *CELLS)
        site.path("ada/notebooks/00_pool.ipynb").write_text(text)
        site.path("ada/sitecustomize.py").write_text(
            "import pathlib, hpclab.course.finder as f, hpclab.course.layout as l\n"
            f"f.root = l.root = lambda: pathlib.Path({site.home!r})\n"
        )
        words = (sys.executable, "-m", "hpclab.cli", "rehearse", "--site", "--json", "--learners", "10")
        path = f"{site.home}:{site.environment['PYTHONPATH']}"
        said = site.run(*words, timeout=280, PYTHONPATH=path, SLURM_JOB_ID="77", SLURM_NTASKS="9")
        told = json.loads(said[said.index("{") :])
        (lesson,) = told["lessons"]
        assert (lesson["failure"], lesson["nodes"], lesson["class"]["nodes"]) == ("", 1, 20)
        assert "hpclab" not in site.run("squeue", "--noheader", "--me", host="c1")
        assert list(site.path("ada").glob(".hpclab/*")) == []

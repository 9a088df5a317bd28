"""A site's own settings: read from one file, refused in a sentence, and said to sbatch and to pools."""

import os
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from hpclab.classroom import settings

TEMPLATE = Path(__file__).resolve().parents[2] / "slurm" / "hub" / "site.toml"
FULL = re.sub(r"^# (?=\w+ = )", "", TEMPLATE.read_text(), flags=re.MULTILINE)
LEARNER = {"USER": "ada", "HOME": "/home/ada"}


@pytest.fixture
def said(tmp_path):
    def read(text):
        file = tmp_path / "site.toml"
        file.write_text(text)
        return settings.read(file)

    return read


def test_the_template_says_nothing_and_explains_every_key(said):
    assert settings.read(TEMPLATE) == settings.Site(file=str(TEMPLATE))
    assert settings.read(TEMPLATE).environment(LEARNER) == {}
    full = said(FULL)
    silent = [part.name for part in fields(full) if getattr(full, part.name) in ("", (), None)]
    assert silent == []
    assert full.time == 7200.0
    assert said("[hub]\nprofiles = [{anything = 1}]\n").hub == {"profiles": [{"anything": 1}]}  # unread


def test_what_it_says_reaches_sbatch_and_dask_as_they_read_it(said):
    """Dask reads its variables as Python literals, so that an account of digits must stay text."""
    site = said(FULL.replace('"course-2026"', '"0123456"'))
    environment = site.environment(LEARNER)
    for tool in ("SBATCH", "SALLOC", "SLURM"):
        told = [environment[f"{tool}_{word}"] for word in ("PARTITION", "ACCOUNT", "QOS", "RESERVATION")]
        assert told == ["teaching", "0123456", "short", "workshop"]
    assert environment["HPCLAB_STATE_DIR"] == "/scratch/ada/hpclab"
    assert environment["HPCLAB_WALL"] == "/shared/class"
    program = "from hpclab.cluster.backends import batch; print(batch.site_settings.checked('slurm', False))"
    environment |= {"PATH": os.environ["PATH"], "PYTHONPATH": str(TEMPLATE.parents[2]),
                    "DASK_CONFIG": os.devnull}  # fmt: skip
    shown = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    ).stdout
    for text in (
        "'queue': 'teaching'", "'account': '0123456'", "'interface': 'ib0'", "'walltime': 1800.0",
        "'python': 'apptainer exec /shared/course.sif /shared/hpclab/.venv/bin/python'",
        "'job-extra-directives': ('--qos=short', '--reservation=workshop')", "'module load python/3.12'",
        "/local/${USER:?not set",
    ):  # fmt: skip
        assert text in shown, shown
    environment = said(
        '[slurm]\ntime = "10:00"\n[software]\npython = "python3.12"\n[paths]\nscratch = "~/scratch"\n'
    ).environment(LEARNER)
    assert environment == {"DASK_JOBQUEUE__SLURM__WALLTIME": "'600 s'",
                           "DASK_JOBQUEUE__SLURM__PYTHON": "'python3.12'",
                           "HPCLAB_STATE_DIR": "/home/ada/scratch/hpclab"}  # fmt: skip
    with pytest.raises(ValueError, match=r"names \$SCRATCH, which is not set"):
        said('[paths]\nscratch = "$SCRATCH"\n').environment(LEARNER)


def test_modules_are_loaded_where_the_shell_knows_none_and_path_stays(said, tmp_path):
    lines = said('[software]\nmodules = ["a/1", "b"]').prologue()
    assert lines[1:] == ["module load a/1", "module load b"]
    profile = tmp_path / "profile"
    profile.write_text("PATH=/nowhere; module() { echo loads $*; }\n")
    script = "\n".join([*lines, "echo $PATH"]).replace("/etc/profile", str(profile))
    shown = subprocess.check_output(["bash", "-c", script], env={"PATH": "/usr/bin:/bin"}, text=True)
    assert shown.split("\n")[:3] == ["loads load a/1", "loads load b", "/nowhere:/usr/bin:/bin"]


BAD = [
    ('[slurm]\npartition = "a;b"', r"slurm\.partition in .*site\.toml must be 1 to 64"),
    ("[slurm]\naccount = 12", r"slurm\.account in .* must be text, in quotes, not 12"),
    ('[slurm]\nqos = "--x"', r"slurm\.qos .* dash"),
    ('[slurm]\ntime = "90"', r"slurm\.time in .* needs a unit"),
    ("[slurm]\ntime = 90", r'slurm\.time in .* "02:00:00"'),
    ('[network]\ninterface = "$(id)"', r"network\.interface"),
    *[(f'[paths]\nlocal = "{bad}"', r"paths\.local in .* must be a path")
      for bad in ("/a b", "a", "/a/../b", "/..", "/$(id)", "/" + "x" * 300, "~ada/x")],
    ('[paths]\nscratch = "/scratch"', r"each learner's own, such as /scratch/\$USER"),
    ('[software]\nmodules = "gcc"', r'must be a list of modules such as \["python/3\.12"\]'),
    ('[software]\nmodules = ["gcc; id"]', "not 'gcc; id'"),
    ("[software]\nmodules = [3]", "must be a list, each of it a name such as .*, not 3"),
    ('[software]\nimage = "docker://x y"', r"software\.image"),
    ('[software]\npython = "python3 -m"', r"software\.python"),
    ('[slurm]\npartitoin = "x"', r"A key of slurm in .* must be one of partition, account, qos, reserv"),
    ("[slrum]", "must be one of hub, network, paths, slurm, software, not 'slrum'"),
    ("slurm = 3", r"\[slurm\] in .* must be a table"),
    ("x", "is not TOML"),
    ("#" * 70000, "larger than 65,536 bytes"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "words"), BAD)
def test_what_cannot_be_is_refused_with_file_and_key(said, tmp_path, refused, text, words):
    refused(lambda: said(text))
    with pytest.raises(ValueError, match=words) as caught:
        said(text)
    assert str(tmp_path) in str(caught.value)


def test_where_it_is_found_and_who_may_write_it(said, tmp_path, monkeypatch, refused):
    monkeypatch.setenv("HPCLAB_SITE", str(tmp_path / "site.toml"))
    with pytest.raises(FileNotFoundError, match=r"no file .*site\.toml .*; slurm/hub/site\.toml in"):
        settings.read()
    said('[slurm]\nqos = "q"')
    assert settings.read().qos == "q"
    (tmp_path / "site.toml").chmod(0o666)
    with pytest.raises(ValueError, match="not everybody may write"):
        settings.read()
    os.mkfifo(tmp_path / "pipe")
    refused(lambda: settings.read(tmp_path / "pipe"))
    refused(lambda: settings.read(tmp_path))

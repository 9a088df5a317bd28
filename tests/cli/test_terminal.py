"""In JupyterLab's terminals the course's programs are found, whatever a learner's profile does to PATH."""

import contextlib
import os
import shutil
import sys
from pathlib import Path

import pytest
from ptyprocess import PtyProcessUnicode

from hpclab.cli import terminal

PROGRAMS = Path(sys.executable).parent
ASK = 'echo "$MINE is $(command -v hpclab) $(command -v python)"; exit\n'
PROFILES = {"bash": ".bash_profile", "sh": ".profile", "ksh": ".profile", "zsh": ".zprofile"}
FISH = "set -gx MINE kept; set -gx PATH /usr/bin /bin\n"


def said(words, **environment):
    process = PtyProcessUnicode.spawn(words, env={**os.environ, **environment}, dimensions=(24, 400))
    process.write(ASK)
    text = ""
    with contextlib.suppress(EOFError):
        while True:
            text += process.read()
    process.close(force=True)
    return text


@pytest.mark.parametrize("shell", ["bash", "sh", "ksh", "zsh", "fish"])
def test_a_profile_that_sets_the_path_is_read_and_ours_comes_before(shell, tmp_path, monkeypatch):
    if not shutil.which(shell):
        pytest.skip(f"no {shell} here")
    if shell == "fish":
        (tmp_path / ".config" / "fish").mkdir(parents=True)
        (tmp_path / ".config" / "fish" / "config.fish").write_text(FISH)
    else:
        (tmp_path / PROFILES[shell]).write_text("export MINE=kept PATH=/usr/bin:/bin\n")
    monkeypatch.setenv("SHELL", shutil.which(shell))
    monkeypatch.delenv("ZDOTDIR", raising=False)
    text = said(terminal.command(), HOME=str(tmp_path), XDG_CONFIG_HOME=str(tmp_path / ".config"))
    assert f"kept is {PROGRAMS / 'hpclab'} {PROGRAMS / 'python'}" in text.replace("\r\n", ""), text


def test_where_no_shell_is_named_it_is_one_that_can_be_used(monkeypatch):
    for wrong in ("", "/nonexistent", "/usr/sbin/nologin", "/bin/false"):
        monkeypatch.setenv("SHELL", wrong)
        assert Path(terminal.command()[2]).name in ("bash", "sh")
    assert "sh" in terminal.command("sh")

"""JupyterLab's terminals: the learner's own shell and profile, and after it this Python's programs first. A
login shell sets PATH anew, so what each shell reads last is a file of ours, which reads theirs and then puts
the folder HPCLAB_PROGRAMS in front."""

import os
import shutil
import sys
from pathlib import Path

_HERE = Path(__file__).parent


def command(wanted: str = "") -> list[str]:
    """The argv that starts a terminal's shell: `wanted`, else $SHELL, or bash where that is no shell."""
    shell = wanted or os.environ.get("SHELL", "")
    if not shutil.which(shell) or Path(shell).name in ("false", "nologin"):
        shell = shutil.which("bash") or "/bin/sh"
    profile, said = str(_HERE / "profile.sh"), {"HPCLAB_PROGRAMS": str(Path(sys.executable).parent)}
    options = ["-l"]  # and no more for csh, which reads no file that we could name
    match Path(shell).name:
        case "bash":
            options = ["--rcfile", profile, "-i"]
        case "sh" | "dash" | "ash" | "ksh" | "mksh":
            said, options = said | {"ENV": profile}, ["-i"]
        case "zsh":
            said |= {"HPCLAB_ZDOTDIR": os.environ.get("ZDOTDIR", ""), "ZDOTDIR": str(_HERE / "zsh")}
        case "fish":
            options += ["-C", "set -gx PATH $HPCLAB_PROGRAMS $PATH"]
    return ["env", *(f"{key}={value}" for key, value in said.items()), shell, *options]

"""`hpclab lab | doctor | slurm | rehearse | progress | ...`: a module each, loaded only when called."""

import argparse
import contextlib
import importlib
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import hpclab
from hpclab.cli import output

_COMMANDS = {
    "lab": "open the course in JupyterLab",
    "doctor": "say what this machine can do, lesson by lesson",
    "slurm": "start, stop and look at a real Slurm on this machine",
    "rehearse": "run every notebook as a learner would, and report",
    "progress": "say how your predictions fit, what is solved and what is next",
    "validate": "hold the models against published measurements",
    "summary": "write what you solved and predicted into one file, for feedback",
    "collect": "say what the summaries of a class show",
    "wall": "show the speedups that a class shares",
}


class Parser(argparse.ArgumentParser):
    """A parser that refuses a wrong argument in one sentence, not under a screen of usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; `{self.prog} --help` shows what there is.\n")


def number(text: str) -> int | float | str:
    """The number that `text` is, or else `text`, for hpclab.checks to refuse with what is allowed."""
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(text)
    return text


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status. Its module has `configure(parser)` and `run(options)`."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    parser = Parser(prog="hpclab", description=(hpclab.__doc__ or "").split("\n")[0])
    parser.add_argument("--version", action="version", version=f"hpclab {hpclab.__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    called = next((word for word in words if not word.startswith("-")), None)
    try:
        with output.guarded():
            for name, purpose in _COMMANDS.items():
                command = commands.add_parser(name, help=purpose, description=f"hpclab {name}: {purpose}.")
                if name == called:
                    importlib.import_module(f"hpclab.cli.{name}").configure(command)
            options, unknown = parser.parse_known_args(words)
            if unknown:
                commands.choices[options.command].error(f"there is no {' '.join(unknown)[:60]!r}")
            return int(importlib.import_module(f"hpclab.cli.{options.command}").run(options) or 0)
    except KeyboardInterrupt:
        return _failed("interrupted.", 130)
    except output.Unwritten as error:
        output.drop()
        return 141 if error.unread else _failed(str(error))  # 141: as others before `| head`
    except (ValueError, OSError, RuntimeError) as error:
        return _failed(sentence(error))


def _failed(said: str, status: int = 1) -> int:
    """Print the error `said` on standard error and return the exit `status`."""
    with contextlib.suppress(OSError):  # nobody reads the errors either
        print(f"hpclab: {said}", file=sys.stderr)
    return status


def sentence(error: Exception) -> str:
    """Return the error's message as a sentence, without an error number."""
    if isinstance(error, OSError):
        try:
            os.getcwd()
        except FileNotFoundError:
            return "the folder you are in was removed: `cd` to another and try again."
    return reason(error) + "." * bool(getattr(error, "strerror", None))


def reason(error: Exception) -> str:
    """The error's text without its number, to put inside a message: "FILE: reason" for an OSError."""
    if not isinstance(error, OSError) or not error.strerror:
        return str(error)
    return f"{error.filename}: {error.strerror}" if error.filename else error.strerror

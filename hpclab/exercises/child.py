"""The process in which a learner's function runs: `limits.py` starts it, sends the task, reads plain data.

A program of its own that imports nothing of hpclab: the fewer parts, the less a learner's code can disturb.
"""

import os
import pickle
import resource
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder

_STARTS_A_PROCESS = (
    "os.fork", "os.forkpty", "os.exec", "os.posix_spawn", "os.system", "os.spawn", "pty.spawn",
    "subprocess.Popen",
)  # fmt: skip
_SECRETS = ("hpclab.exercises", "hpclab.validation")


class _NoAnswers(MetaPathFinder):
    """The judges and the rows they judge by cannot be imported here: handing them back earns nothing."""

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: object = None) -> None:
        if name.startswith(_SECRETS):
            raise ImportError(f"an answer cannot use {name}: it is what the answer is checked against")


def _refuse_processes(event: str, _arguments: object) -> None:
    if event in _STARTS_A_PROCESS:
        raise PermissionError("an answer cannot start processes")


def _lower(limit: int, value: int) -> None:
    _soft, hard = resource.getrlimit(limit)
    resource.setrlimit(limit, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))


def _limit(seconds: float, memory: int) -> None:
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, seconds + 30)  # where the notebook died and nobody ends us
    _lower(resource.RLIMIT_CPU, int(seconds) + 31)
    _lower(resource.RLIMIT_FSIZE, 2**24)
    _lower(resource.RLIMIT_CORE, 0)
    if sys.platform == "linux":
        _lower(resource.RLIMIT_DATA, memory)
    sys.addaudithook(_refuse_processes)


def _outcome(function: Callable, argument_lists: list[tuple]) -> tuple[str, object]:
    try:
        return "values", [function(*arguments) for arguments in argument_lists]
    except MemoryError:
        return "stopped", "Your function ran out of memory: does it collect without end?"
    except RecursionError:
        return "stopped", "Your function calls itself without end."
    except SystemExit:
        return "stopped", "Your function ended its process instead of returning (it called exit)."
    except BaseException as error:
        written_in = getattr(getattr(function, "__code__", None), "co_filename", None)
        steps = traceback.extract_tb(error.__traceback__)
        lines = [step.lineno for step in steps if step.filename == written_in]
        where = f" in line {lines[-1]}" if lines else ""
        what = f"{type(error).__name__}{where}: {str(error)[:300].rstrip('.')}"
        return "stopped", f"Your function raised {what}."


def main() -> None:
    values = os.fdopen(int(sys.argv[1]), "wb")
    task = sys.stdin.buffer
    search_path, seconds, memory, size = pickle.load(task)  # noqa: S301
    sys.path[:] = search_path
    sys.meta_path.insert(0, _NoAnswers())
    wrong = ""
    try:
        function, argument_lists = pickle.loads(task.read(size))  # noqa: S301
        _limit(seconds, memory)
    except Exception as error:
        wrong = f"Your function cannot be called by itself: {error}."
    values.write(b".")
    values.flush()
    outcome = ("stopped", wrong) if wrong else _outcome(function, argument_lists)
    try:
        answer = pickle.dumps(outcome)
    except Exception:
        answer = pickle.dumps(("stopped", "Your function returned something that is not plain data."))
    values.write(answer)
    values.flush()
    os._exit(0)  # nothing a learner registered at exit runs


if __name__ == "__main__":
    main()

"""The process in which a learner's function runs: `limits.py` starts it, sends the task, reads plain data. A
program of its own that imports nothing of hpclab: the fewer parts, the less a learner's code can disturb."""

import os
import pickle
import resource
import signal
import sys
import traceback
from collections.abc import Callable
from importlib.abc import MetaPathFinder

_STARTS_A_PROCESS = (
    "os.fork", "os.forkpty", "os.exec", "os.posix_spawn", "os.system", "os.spawn", "pty.spawn",
    "subprocess.Popen",
)  # fmt: skip
_STOPPED = {
    MemoryError: "Your function ran out of memory: does it collect without end?",
    RecursionError: "Your function calls itself without end.",
    SystemExit: "Your function ended its process instead of returning (it called exit).",
}


class _NoAnswers(MetaPathFinder):
    """An import hook that refuses the judges and the published rows, so that no answer can return theirs."""

    def find_spec(self, name: str, *_: object) -> None:
        if name.startswith(("hpclab.exercises", "hpclab.validation")):
            raise ImportError(f"an answer cannot use {name}: it is what the answer is checked against")


def _refuse_processes(event: str, _arguments: object) -> None:
    if event in _STARTS_A_PROCESS:
        raise PermissionError("an answer cannot start processes")


def _limit(seconds: float, memory: int) -> None:
    """Limit CPU time (to a little more than `seconds`) and `memory` (bytes), and refuse new processes."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, seconds + 30)  # where the notebook died and nobody ends us
    most = {resource.RLIMIT_CPU: int(seconds) + 31, resource.RLIMIT_FSIZE: 2**24, resource.RLIMIT_CORE: 0}
    if sys.platform == "linux":
        most[resource.RLIMIT_DATA] = memory
    for limit, value in most.items():
        hard = resource.getrlimit(limit)[1]
        resource.setrlimit(limit, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))
    sys.addaudithook(_refuse_processes)


def _outcome(function: Callable, argument_lists: list[tuple]) -> list | str:
    """The values that `function` returns for `argument_lists`, or a sentence: why it returned none."""
    try:
        return [function(*arguments) for arguments in argument_lists]
    except BaseException as error:
        if said := [said for kind, said in _STOPPED.items() if isinstance(error, kind)]:
            return said[0]
        written_in = getattr(getattr(function, "__code__", None), "co_filename", None)
        steps = traceback.extract_tb(error.__traceback__)
        lines = [step.lineno for step in steps if step.filename == written_in]
        where = f" in line {lines[-1]}" if lines else ""
        what = f"{type(error).__name__}{where}: {str(error)[:300].rstrip('.')}"
        return f"Your function raised {what}."


def main() -> None:
    values = os.fdopen(int(sys.argv[1]), "wb")
    search_path, seconds, memory, size = pickle.load(sys.stdin.buffer)  # noqa: S301
    sys.path[:] = search_path
    sys.meta_path.insert(0, _NoAnswers())
    wrong = ""
    try:
        function, argument_lists = pickle.loads(sys.stdin.buffer.read(size))  # noqa: S301
        _limit(seconds, memory)
    except Exception as error:
        wrong = f"Your function cannot be called by itself: {error}."
    values.write(b".")
    values.flush()
    try:
        answer = pickle.dumps(wrong or _outcome(function, argument_lists))
    except Exception:
        answer = pickle.dumps("Your function returned something that is not plain data.")
    values.write(answer)
    values.flush()
    os._exit(0)  # nothing a learner registered at exit runs


if __name__ == "__main__":
    main()

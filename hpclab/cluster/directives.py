"""The #SBATCH lines of a pool's job beside the pool's own: what Pool(...) and the site ask for, once each.

Of an option that is said twice sbatch takes the last; --mem beside --mem-per-cpu it refuses.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from hpclab import checks

if TYPE_CHECKING:
    from hpclab.cluster.request import Request

_SHORT = {
    "A": "account", "a": "array", "c": "cpus-per-task", "e": "error", "i": "input", "J": "job-name",
    "N": "nodes", "n": "ntasks", "o": "output", "p": "partition", "t": "time", "W": "wait",
}  # fmt: skip
_SAID = {"partition": "-p ", "account": "-A ", "time": "-t ", "mem": "--mem="}  # as the pool's job says them
_ONE = ("nodes", "ntasks", "ntasks-per-node")  # a node's job is one task on one node
_OWN = (*_ONE, "job-name", "output", "error", "input", "requeue", "no-requeue", "cpus-per-task")
_NEVER = ("array", "wait", "wrap", "parsable", "test-only", "help", "usage", "version")
_ALL = {*_SAID, "mem-per-cpu", "mem-per-gpu", *_OWN, *_NEVER}


def checked(name: str, texts: object) -> tuple[str, ...]:
    """``#SBATCH`` options, each by itself; no newline, quote, `$`, `;` or the like, so that it stays one."""
    if isinstance(texts, str) or not isinstance(texts, Iterable):
        raise ValueError(f"{name} must be a list of texts such as '--qos=debug', not {checks.shown(texts)}.")
    found: list[str] = []
    for text in texts:
        if not isinstance(text, str) or not re.fullmatch(
            r"--?[A-Za-z][A-Za-z0-9 ._+=@:,/*\[\]()|&-]{0,199}", text
        ):
            raise ValueError(
                f"{name}: a directive must be one sbatch option of at most 200 characters in quotes, such as "
                f'"--qos=debug", without quotes or line breaks in it, not {checks.shown(text)}.'
            )
        found += re.split(r"\s+(?=-)", text)
    for each in found:
        if option(each) in _NEVER or (option(each) in _ONE and not re.search(r"\D1$", each)):
            raise ValueError(
                f"{name}: {each} cannot be a directive here, as a node of a pool is one job with one task; "
                "how many there are Pool(nodes=...) says."
            )
    return tuple(found)


def option(text: str, family: bool = True) -> str:
    """The long name of a directive's option; with `family` "mem" also for --mem-per-cpu and --mem-per-gpu."""
    short = not text.startswith("--")
    name = _SHORT.get(text[1], text[1]) if short else re.split(r"[= ]", text[2:])[0]
    whole = [known for known in _ALL if known.startswith(name)]  # sbatch takes the beginning of a name too
    name = whole[0] if len(whole) == 1 and not short else name
    return "mem" if family and name.startswith("mem-per-") else name


def _asked(request: Request) -> set[str]:
    """The options that arguments of Pool(...) say."""
    said = {"partition": request.partition, "account": request.account, "time": request.walltime}
    return {name for name, value in said.items() if value is not None}


def refuse_twice(request: Request) -> None:
    """ValueError where an extra directive says what another argument of Pool(...) says."""
    for each in request.extra_directives:
        if option(each) in {*_asked(request), *_OWN}:
            raise ValueError(
                f"extra_directives: {each} is said by the pool itself; leave it out, or Pool's own argument."
            )


def merged(request: Request, site: Sequence[str]) -> list[str]:
    """What a job asks for beside the pool's own lines: of the site's, what Pool(...) leaves to it."""
    asked = _asked(request) | {option(each) for each in request.extra_directives if option(each) in _SAID}
    kept = [each for each in site if option(each) not in {*asked, *_OWN}]
    if request.memory is not None:  # the site's way of asking for it, with the pool's number
        mebibytes = request.memory // 2**20
        kept = [
            f"--{option(each, family=False)}={-(-mebibytes // _shares(each, request))}M"
            if option(each) == "mem" else each for each in kept
        ]  # fmt: skip
    return [*kept, *request.extra_directives]


def replaced(lines: Iterable[str]) -> list[str]:
    """The beginnings of the pool's own lines that these directives take the place of."""
    options = {option(each) for each in lines}
    return [f"#SBATCH {line}" for name, line in _SAID.items() if name in options]


def value(lines: Sequence[str], name: str) -> str:
    """What the last of these directives says of an option, or nothing."""
    said = [re.sub(r"^(--[\w-]+|-\w)[= ]?", "", each) for each in lines if option(each) == name]
    return said[-1] if said else ""


def memory(lines: Iterable[str], request: Request) -> int:
    """Bytes a node that these directives ask for, or 0 where they do not say."""
    said = [each for each in lines if option(each) == "mem"]
    return size(value(said, "mem")) * _shares(said[-1], request) if said else 0


def size(text: str) -> int:
    """Bytes in a size as sbatch reads it ("4G", "4096" in MiB), or 0 where it is none, or all of a node."""
    match = re.fullmatch(r"(\d+)([KMGT]?)B?", text.strip().upper())
    return int(match[1]) * 1024 ** (" KMGT".index(match[2] or "M")) if match else 0


def _shares(line: str, request: Request) -> int:
    counts = {"mem-per-cpu": request.cores_per_node, "mem-per-gpu": max(1, request.gpus_per_node)}
    return counts.get(option(line, family=False), 1)

"""A batch script before sbatch has it: what keeps it from being one, and what sbatch would pass over."""

import os
import re
import warnings

from hpclab import checks
from hpclab.cluster.slurm.submission import SubmitError

LARGEST = 4 * 2**20  # bytes; Slurm's own limit
_BEGIN = "must begin with #! and the path of an interpreter, such as #!/bin/bash, in its first line"
_SAVE = "Save it as UTF-8 without a byte order mark (BOM) and with the line ends of Unix (LF)."


def checked(script: object) -> str | None:
    """The script's text, or None where a file was named; SubmitError where it is not what sbatch takes."""
    if not isinstance(script, str | os.PathLike):
        raise ValueError(
            f"A batch script is a path, or text that begins with #!, not {checks.shown(script)}."
        )
    if "\0" in str(script):
        raise ValueError("A batch script is text; this one holds a NUL character.")
    if isinstance(script, str) and (re.search(r"[\r\n]", script) or script.lstrip("\ufeff \t")[:2] == "#!"):
        text, name, content = script, "", script.encode(errors="replace")
    else:
        text, name = None, checks.shown(os.path.basename(os.path.abspath(script)))
        content = _content(script, name)
    if wrong := trouble(content):
        raise SubmitError(f"{name}: {wrong}" if name else wrong)
    if late := unread(content):
        warnings.warn(f"sbatch does not read {', '.join(late)}: a command stands before it.", stacklevel=3)
    return text


def _content(path: str | os.PathLike[str], name: str) -> bytes:
    """What the file holds; SubmitError says why nothing can be read there."""
    if os.path.isdir(path):
        raise SubmitError(f"{name} is a directory: name a batch script in it.")
    if not os.path.isfile(path):
        raise SubmitError(f"There is no batch script at {checks.shown(str(path))}.")
    try:
        with open(path, "rb") as file:
            return file.read(LARGEST + 1)
    except OSError as error:
        raise SubmitError(f"{name} cannot be read: {error.strerror}.") from None


def trouble(script: bytes) -> str:
    """What keeps this from being a batch script, and the way out; empty where nothing does.

    sbatch finds most of it as well, says it without the way out, and takes a lone carriage return.
    """
    first = script.split(b"\n", 1)[0]
    late = script.lstrip().startswith(b"#!")
    seen = f"that line is {checks.shown(first.decode(errors='replace'))}"
    seen = "blanks or an empty line stand before it" if late else seen
    troubles = [
        (script.startswith((b"\xff\xfe", b"\xfe\xff")),
         f"is UTF-16, so that sbatch finds no #! in its first line. {_SAVE}"),
        (b"\0" in script, f"holds a NUL character, so it is no text file. {_SAVE}"),
        (script.startswith(b"\xef\xbb\xbf"),
         f"begins with a byte order mark, so that its first line is not #!. {_SAVE}"),
        (b"\r\n" in script, "has DOS line breaks (\\r\\n), as editors on Windows write them. dos2unix FILE, "
         "or sed -i 's/\\r$//' FILE, takes them out."),
        (b"\r" in script, "has a carriage return (\\r), which is no line break of Unix: tr '\\r' '\\n' "
         "< FILE > NEW makes one of it."),
        (not script.strip(), f"is empty; it {_BEGIN}."),
        (not first.startswith(b"#!") or not first[2:].strip(), f"{_BEGIN}; {seen}."),
        (len(script) > LARGEST, "is larger than 4 MB, which is more than Slurm takes."),
    ]  # fmt: skip
    return next((f"The batch script {what}" for it_has, what in troubles if it_has), "")


def unread(script: bytes) -> list[str]:
    """The #SBATCH lines after the first command, which sbatch passes over without a word."""
    lines = script.decode(errors="replace").splitlines()
    head = next((n for n, line in enumerate(lines) if line.strip() and line[0] != "#"), len(lines))
    return [line for line in lines[head:] if re.match(r"#SBATCH\s", line)]

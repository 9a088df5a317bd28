"""The text of a file, whatever program wrote it: decoded, or refused with what the file is."""

import re
from pathlib import Path
from stat import S_ISDIR, S_ISREG

LARGEST = 16 * 2**20
COLUMNS = "columns such as system,network,collective,gpus,nodes,size_bytes,time_us"
_MAGIC = (
    (rb"PK\x03\x04|\xd0\xcf\x11\xe0", "a spreadsheet or an archive"), (rb"%PDF", "a PDF document"),
    (rb"\x1f\x8b|BZh|\xfd7zXZ|\x28\xb5\x2f\xfd", "a compressed file"), (rb"\x7fELF", "a program"),
    (rb"\x89PNG|GIF8|\xff\xd8\xff", "a picture"), (rb"\s*<", "a page in HTML or XML"),
    (rb"\s*(?:\{|\[\s*[\[{\"])", "JSON"),
)  # fmt: skip


def text(path: str | Path) -> str:
    """What a text file of at most 16 MiB says; ValueError where it is none, naming what it is.

    UTF-8 and UTF-16 with or without a mark in front, else Windows' code page of Western Europe.
    """
    source = Path(path)
    try:
        found = source.stat()
    except (OSError, ValueError):  # a NUL in the name: ValueError
        raise ValueError(
            f"There is no file {str(source)!r:.200}: name a table of published measurements."
        ) from None
    if not S_ISREG(found.st_mode):
        what = "a folder" if S_ISDIR(found.st_mode) else "no ordinary file"
        raise ValueError(f"{source.name:.200} is {what}: name a table of published measurements.")
    if found.st_size > LARGEST:
        raise ValueError(
            f"{source.name} is larger than {LARGEST // 2**20} MiB: not a table of measurements; "
            "cut it out of its log."
        )
    data = source.read_bytes()
    for begin, what in _MAGIC:
        if re.match(begin, data.removeprefix(b"\xef\xbb\xbf")):
            raise _no_table(source.name, what)
    for encoding in _encodings(data):
        try:
            said = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if not re.search(r"[\x00-\x08\x0e-\x1a\ufffe\uffff]", said):
            return said
    raise _no_table(source.name, "binary")


def _no_table(name: str, what: str) -> ValueError:
    return ValueError(f"{name} is not a table in CSV but {what}: save it as CSV, with {COLUMNS}.")


def _encodings(data: bytes) -> tuple[str, ...]:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return ("utf-16",)
    if b"\x00" in data[:4096]:
        return ("utf-16-be" if data[0] == 0 else "utf-16-le",)
    return ("utf-8-sig", "cp1252")

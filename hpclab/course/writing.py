"""Write files all or none: an interrupt, a full disk or a name that cannot be leaves everything as it was."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Callable, Container, Mapping
from functools import partial
from pathlib import Path


def write_all(files: Mapping[Path, bytes], top: Path) -> None:
    """Write each content to its place in `top` or below, folders included; scripts (#!) become executable.

    All are written aside in `top` first and then renamed; where that fails, what was there is put back.
    OSError names the place that could not be written.
    """
    place, put, undo, made = top, list[Path](), list[Callable[[], object]](), list[Callable[[], object]]()
    try:
        _make(top, made)
        before = {place for place in files if os.path.lexists(place)}
        with tempfile.TemporaryDirectory(dir=top, prefix=".hpclab-", ignore_cleanup_errors=True) as name:
            aside = Path(name)
            try:
                for number, place in enumerate(files):
                    (aside / f"{number}").write_bytes(files[place])
                    (aside / f"{number}").chmod(0o755 if files[place].startswith(b"#!") else 0o644)
                for number, place in enumerate(files):
                    _make(place.parent, undo)
                    if place not in before and any(place.exists() and place.samefile(one) for one in put):
                        raise OSError(errno.EEXIST, "two of the files have one name here", str(place))
                    if os.path.lexists(place):
                        old = aside / f"{number}.old"
                        try:
                            old.hardlink_to(place)  # so that there is always one, the old or the new
                        except OSError:  # a file system without hard links
                            place.rename(old)
                        undo.append(partial(old.replace, place))
                    else:
                        undo.append(partial(place.unlink, missing_ok=True))
                    (aside / f"{number}").replace(place)
                    put.append(place)
            except BaseException:
                _put_back(undo)
                raise
    except BaseException as error:
        _put_back(made)
        if isinstance(error, OSError):
            raise OSError(error.errno, error.strerror or str(error), str(place)) from None
        raise


def write(place: Path, content: bytes) -> None:
    """Write one file, which is never half there."""
    write_all({place: content}, place.parent)


def beside(place: Path, word: str, taken: Container[Path] = ()) -> Path:
    """A free name beside `place`: ``05_x.new.ipynb``, then ``05_x.new2.ipynb`` and so on."""
    number = 1
    while True:
        candidate = place.with_name(f"{place.stem}.{word}{number if number > 1 else ''}{place.suffix}")
        if not os.path.lexists(candidate) and candidate not in taken:
            return candidate
        number += 1


def is_plain(path: Path) -> bool:
    """A regular file itself, not a link to one: what a link points at is never replaced through it."""
    return path.is_file() and not path.is_symlink()


def _make(folder: Path, undo: list[Callable[[], object]]) -> None:
    if not folder.is_dir():
        _make(folder.parent, undo)
        try:
            folder.mkdir(mode=0o700)  # a learner's work is theirs
        except FileExistsError:  # a file, unless another start has just made it
            if not folder.is_dir():
                raise
        else:
            undo.append(folder.rmdir)


def _put_back(undo: list[Callable[[], object]]) -> None:
    while undo:
        with contextlib.suppress(OSError):
            undo.pop()()

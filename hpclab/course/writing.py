"""Write files all or none: an interrupt, a full disk or an impossible name leaves everything as it was."""

import errno
import itertools
import os
import tempfile
from collections.abc import Callable, Container, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Written:
    """The folder or zip at `path`, the `names` of the files that were written to it, and in `kept` a sentence
    for each that was left out, or written beside the learner's own."""

    path: Path
    names: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)

    def __repr__(self) -> str:
        return f"<Written to {self.path.name}: {len(self.names)} files, {len(self.kept)} kept>"


def write_all(files: Mapping[Path, bytes], top: Path) -> None:
    """Write each content to its place in `top` or below, folders included; scripts (#!) become executable.
    All are written aside in `top` first and then renamed; where that fails, what was there is put back, and
    OSError names the place that could not be written."""
    place, put = top, list[Path]()
    try:
        with ExitStack() as undo:
            _make(top, undo)
            before = {place for place in files if os.path.lexists(place)}
            aside = tempfile.TemporaryDirectory(dir=top, prefix=".hpclab-", ignore_cleanup_errors=True)
            undo.callback(aside.cleanup)
            drafts = {place: Path(aside.name, f"{number}") for number, place in enumerate(files)}
            for place, draft in drafts.items():
                draft.write_bytes(files[place])
                draft.chmod(0o755 if files[place].startswith(b"#!") else 0o644)
            for place, draft in drafts.items():
                _make(place.parent, undo)
                if place not in before and any(place.exists() and place.samefile(one) for one in put):
                    raise OSError(errno.EEXIST, "two of the files have one name here", str(place))
                if os.path.lexists(place):
                    old = draft.with_suffix(".old")
                    try:
                        old.hardlink_to(place)  # so that there is always one, the old or the new
                    except OSError:  # a file system without hard links
                        place.rename(old)
                    undo.callback(_if_possible, old.replace, place)
                else:
                    undo.callback(_if_possible, place.unlink)
                draft.replace(place)
                put.append(place)
            undo.pop_all()
            aside.cleanup()
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(place)) from None


def beside(place: Path, word: str, taken: Container[Path] = ()) -> Path:
    """A free path beside `place`, not in `taken`: ``x.{word}.ipynb``, then ``x.{word}2.ipynb`` and so on."""
    numbers = itertools.chain([""], itertools.count(2))
    names = (place.with_name(f"{place.stem}.{word}{number}{place.suffix}") for number in numbers)
    return next(name for name in names if not os.path.lexists(name) and name not in taken)


def is_plain(path: Path) -> bool:
    """Whether `path` is a regular file, not a link: what a link points at is never replaced through it."""
    return path.is_file() and not path.is_symlink()


def _make(folder: Path, undo: ExitStack) -> None:
    """Make `folder` and those above it, each with a step in `undo` that removes it."""
    if not folder.is_dir():
        _make(folder.parent, undo)
        try:
            folder.mkdir(mode=0o700)  # a learner's work is theirs
        except FileExistsError:  # a file, unless another start has just made it
            if not folder.is_dir():
                raise
        else:
            undo.callback(_if_possible, folder.rmdir)


def _if_possible(step: Callable[..., object], *arguments: object) -> None:
    with suppress(OSError):
        step(*arguments)

"""Keep the learner's own work in one file, and bring it back after a lost session.

Only what differs from the course is saved: notebooks with answers and outputs, changed job scripts, files the
learner made. A zip file that comes back from somewhere is not trusted: every name and size in it is checked
before anything is written, and nothing of the learner's is overwritten.
"""

from __future__ import annotations

import io
import os
import stat
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from hpclab.course.layout import beside, digest, is_plain, originals, read_manifest, write

LARGEST_FILE = 20 * 2**20  # bytes; a notebook with its figures is far below
LARGEST_TOTAL = 100 * 2**20
MOST_FILES = 500
_SKIPPED = {"__pycache__", "node_modules"}


@dataclass
class Saved:
    """The zip's `path`, the `names` in it, and a sentence for each file left out."""

    path: Path
    names: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


@dataclass
class Restored:
    """The `names` brought back, and a sentence for each that was put beside a newer change of yours."""

    names: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)


def save_work(path: str | Path = "my-work.zip", folder: str | Path = ".") -> Saved:
    """Write a zip of every file in `folder` that differs from the course. Hidden files and links are left
    out, as is what is larger than LARGEST_FILE; an earlier zip of the same name is replaced."""
    target, top = Path(path).absolute(), Path(folder).absolute()
    saved, total, archive = Saved(target), 0, io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, place in _changed(top):
            if place == target:
                continue
            size = place.stat().st_size
            total += size
            if size > LARGEST_FILE or total > LARGEST_TOTAL or len(saved.names) >= MOST_FILES:
                total -= size
                saved.left_out.append(f"{name} was left out ({size} bytes): download it by itself.")
                continue
            bundle.write(place, name)
            saved.names.append(name)
    write(target, archive.getvalue())
    return saved


def restore_work(
    source: str | Path | bytes | memoryview = "my-work.zip", folder: str | Path = "."
) -> Restored:
    """Bring back what `save_work` wrote, from the zip's path or its content.

    A file that is still the course's own is replaced by yours; where you have changed it again since, the
    saved one is put beside it. ValueError, before anything is written, names the entry of a zip that is
    damaged, too large, or would write outside `folder`.
    """
    top, restored = Path(folder).absolute(), Restored()
    known = _known(top)
    for name, content in _checked(source).items():
        place = top / name
        _refuse_links(top, place)
        if is_plain(place) and place.read_bytes() == content:
            pass
        elif not os.path.lexists(place) or (is_plain(place) and _is_the_courses(known, name, place)):
            write(place, content, executable=content.startswith(b"#!"))
        else:
            other = beside(place, "restored")
            write(other, content)
            restored.kept.append(
                f"{name} has newer changes, so they were kept; the saved one is {other.name}."
            )
        restored.names.append(name)
    return restored


def _changed(top: Path) -> Iterator[tuple[str, Path]]:
    known = _known(top)
    for folder, subfolders, files in os.walk(top):
        subfolders[:] = sorted(n for n in subfolders if not n.startswith(".") and n not in _SKIPPED)
        for place in (Path(folder) / name for name in sorted(files) if not name.startswith(".")):
            name = place.relative_to(top).as_posix()
            if is_plain(place) and not _is_the_courses(known, name, place):
                yield name, place


def _known(top: Path) -> dict[str, set[str]]:
    """The hashes each name has as the course's own file: as it was laid out here, and as it is now."""
    known = {name: {laid} for name, laid in read_manifest(top).items()}
    for name, original in originals().items():
        known.setdefault(name, set()).add(digest(original.read_bytes()))
    return known


def _is_the_courses(known: dict[str, set[str]], name: str, place: Path) -> bool:
    return (
        name in known and place.stat().st_size <= LARGEST_FILE and digest(place.read_bytes()) in known[name]
    )


def _checked(source: str | Path | bytes | memoryview) -> dict[str, bytes]:
    """The files of the zip by name, read in full within the limits."""
    path = Path("The uploaded file") if isinstance(source, bytes | memoryview) else Path(source)
    contents: dict[str, bytes] = {}
    total = 0
    try:
        with zipfile.ZipFile(
            io.BytesIO(source) if isinstance(source, bytes | memoryview) else path
        ) as bundle:
            entries = [entry for entry in bundle.infolist() if not entry.is_dir()]
            if len(entries) > MOST_FILES:
                raise ValueError(f"{path.name} holds more than {MOST_FILES} files: not saved by save_work().")
            for entry in entries:
                _check_name(path.name, entry)
                with bundle.open(entry) as stream:  # the size an entry states may be a lie, so read and count
                    content = stream.read(LARGEST_FILE + 1)
                total += len(content)
                if len(content) > LARGEST_FILE or total > LARGEST_TOTAL:
                    raise ValueError(f"{path.name}: {entry.filename!r} is too large to restore.")
                contents[entry.filename] = content
    except FileNotFoundError:
        raise ValueError(f"There is no {path}: upload your saved zip to this folder first.") from None
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, OSError, zlib.error) as error:
        raise ValueError(f"{path.name} is not a readable zip file ({error}): upload it again.") from None
    return contents


def _check_name(bundle: str, entry: zipfile.ZipInfo) -> None:
    name = entry.filename
    parts = PurePosixPath(name).parts
    if (
        len(name) > 255
        or name.startswith("/")
        or not parts
        or any(ord(character) < 32 or character in "\\:" for character in name)
        or any(part.startswith(".") for part in parts)
        or stat.S_ISLNK(entry.external_attr >> 16)
    ):
        shown = repr(name) if len(name) <= 60 else f"{name[:40]!r}… ({len(name)} characters)"
        raise ValueError(
            f"{bundle} holds {shown}, which would not stay in this folder: nothing was restored."
        )


def _refuse_links(top: Path, place: Path) -> None:
    for folder in place.parents:
        if folder == top:
            return
        if folder.is_symlink():
            raise ValueError(f"{folder} is a link, so nothing is restored through it: remove it first.")

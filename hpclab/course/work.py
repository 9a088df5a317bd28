"""Keep the learner's own work, all that differs from the course, in one file; and bring it back after a lost
session, without trust in what is in that file."""

import io
import os
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from hpclab import checks
from hpclab.course import ledger
from hpclab.course.layout import digest, originals, read_manifest
from hpclab.course.writing import Written, beside, is_plain, write_all

LARGEST_FILE = 20 * 2**20  # bytes; a notebook with its figures is far below
LARGEST_TOTAL = 100 * 2**20
MOST_FILES = 500
_SKIPPED = {"__pycache__", "node_modules"}


def save_work(path: str | Path, folder: str | Path) -> Written:
    """Write a zip of every file in `folder` that differs from the course. Hidden files, links and empty files
    (logs of jobs without output) are left out, as is what is larger than LARGEST_FILE, cannot be read, or
    has a name that `restore_work` would refuse. An earlier zip is replaced once the new one is complete."""
    target, top = Path(path).absolute(), Path(folder).absolute()
    saved, total, archive = Written(target), 0, io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, strict_timestamps=False) as bundle:
        for name, place in _changed(top):
            shown, why = name.encode(errors="replace").decode(), ""
            try:
                size = 0 if place == target else place.stat().st_size
                most = min(LARGEST_FILE, LARGEST_TOTAL - total) * (len(saved.names) < MOST_FILES)
                if shown != name or not _stays_inside(name):
                    why = "give it a shorter name of plain characters"
                elif size > most:
                    why = f"it does not fit with its {size} bytes, so download it by itself"
                elif size:
                    entry = zipfile.ZipInfo.from_file(place, name, strict_timestamps=False)
                    bundle.writestr(entry, place.read_bytes())
                    saved.names.append(name)
                    total += size
            except OSError as error:
                why = f"it cannot be read ({error.strerror})"
            if why:
                saved.kept.append(f"{shown} was left out: {why}.")
    write_all({target: archive.getvalue()}, target.parent)
    return saved


def restore_work(content: bytes | memoryview, folder: str | Path) -> Written:
    """Bring back what `save_work` wrote, from the zip's content: all of it or nothing. A file that is still
    the course's own is replaced by yours; where you have changed it since, the saved one is put beside it;
    the ledger gets the lines that it lacks. ValueError names the entry of a zip that is damaged, too large,
    or would write outside `folder`; OSError says what in `folder` cannot be written."""
    top, files, contents = Path(folder).absolute(), dict[Path, bytes](), _read_zip(content)
    restored = Written(top)
    progress = contents.pop(ledger.NAME, None)
    try:
        known = _course_digests(top)
        for name, content in contents.items():
            place = top / name
            above = (folder for folder in place.parents if folder != top and folder.is_relative_to(top))
            if link := next(filter(Path.is_symlink, above), None):
                raise ValueError(f"{link} is a link, so nothing is restored through it: remove it first.")
            free = not os.path.lexists(place) and place not in files
            if free or (is_plain(place) and _is_unchanged(known, name, place)):
                files[place] = content
            elif not (is_plain(place) and place.read_bytes() == content):
                files[other := beside(place, "restored", files)] = content
                said = f"{name} has newer changes, so they were kept; the saved one is {other.name}."
                restored.kept.append(said)
            restored.names.append(name)
        write_all(files, top)
    except OSError as error:
        where = os.path.relpath(str(error.filename or top), top)
        raise OSError(
            f"Nothing was restored: {'this folder' if where == '.' else where} cannot be written "
            f"({error.strerror}). Make room or remove what is in the way, then restore again."
        ) from None
    if progress is not None:
        restored.names.append(ledger.NAME)
        try:
            ledger.merge(top / ledger.NAME, progress)
        except OSError as error:
            restored.kept.append(f"{ledger.NAME} was not added to ({error.strerror}): restore once more.")
    return restored


def _changed(top: Path) -> Iterator[tuple[str, Path]]:
    """Yield name and path of each file in `top` that is not the course's own."""
    known = _course_digests(top)
    for folder, subfolders, files in os.walk(top):
        subfolders[:] = sorted(n for n in subfolders if not n.startswith(".") and n not in _SKIPPED)
        for place in (Path(folder) / name for name in sorted(files) if not name.startswith(".")):
            name = place.relative_to(top).as_posix()
            if is_plain(place) and not _is_unchanged(known, name, place):
                yield name, place


def _course_digests(top: Path) -> dict[str, set[str]]:
    """The hashes of each file of the course, by name: as it was laid out in `top`, and as it is now."""
    known = {name: {laid} for name, laid in read_manifest(top).items()}
    for name, original in originals().items():
        known.setdefault(name, set()).add(digest(original.read_bytes()))
    return known


def _is_unchanged(known: dict[str, set[str]], name: str, place: Path) -> bool:
    small = name in known and place.stat().st_size <= LARGEST_FILE
    return small and digest(place.read_bytes()) in known[name]


def _read_zip(zipped: bytes | memoryview) -> dict[str, bytes]:
    """The content of each file in the zip, by name; ValueError for one too large or outside the folder."""
    contents, total = dict[str, bytes](), 0
    for entry, content in _unpacked(zipped):
        name = PurePosixPath(entry.filename).as_posix()
        total += len(content)
        if not _stays_inside(entry.filename) or stat.S_ISLNK(entry.external_attr >> 16):
            wrong = f"{checks.shown(entry.filename)}, which would not stay in this folder"
        elif name in contents:
            wrong = f"{name!r} twice"
        elif len(content) > LARGEST_FILE or total > LARGEST_TOTAL:
            wrong = f"{name!r}, which is too large"
        elif len(contents) == MOST_FILES:
            wrong = f"more than {MOST_FILES} files, so save_work() has not made it"
        else:
            contents[name] = content
            continue
        raise ValueError(f"The uploaded file holds {wrong}: nothing was restored.")
    return contents


def _unpacked(zipped: bytes | memoryview) -> Iterator[tuple[zipfile.ZipInfo, bytes]]:
    """Yield each file in the zip with at most LARGEST_FILE + 1 bytes of it: the stated size may be false."""
    try:
        with zipfile.ZipFile(io.BytesIO(zipped)) as bundle:
            for entry in bundle.infolist():
                if not entry.is_dir():
                    with bundle.open(entry) as stream:
                        yield entry, stream.read(LARGEST_FILE + 1)
    except Exception as error:  # zipfile and the decompressors below it have many words for a damaged file
        raise ValueError(f"The uploaded file is no readable zip ({error}): upload it again.") from None


def _stays_inside(name: str) -> bool:
    """Whether a file of this name is restored into the folder and is no hidden file."""
    parts, plain = PurePosixPath(name).parts, all(ord(one) >= 32 and one not in "\\:" for one in name)
    short = len(name) <= 255 and all(len(part.encode(errors="replace")) <= 255 for part in parts)
    return bool(parts) and plain and short and not any(part.startswith((".", "/")) for part in parts)

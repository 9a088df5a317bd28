"""Private directories on a machine that is shared with strangers.

A directory of ours is a real directory, owned by this user, that nobody else can write to: in `/tmp` another
user may have made it first, or laid a link there. Its path is short and plain, as it becomes part of Unix
socket names (at most 107 bytes) and of configuration files that know no quoting; with `plain=False` it stands
in batch scripts only, where it is quoted.
"""

import contextlib
import fcntl
import os
import re
import stat
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

LONGEST = 60  # characters of a home; what is put below it (spool/node64_100000.4294967291) needs the rest
_PLAIN = re.compile(r"/[A-Za-z0-9._/+-]*")
_LONGEST_QUOTED = 512


@dataclass(frozen=True)
class Home:
    """A directory at `path` that is this user's own; `passed_over`: why no better one, a sentence each."""

    path: Path
    passed_over: tuple[str, ...] = ()


def candidates() -> list[Path]:
    """Where private directories may live, best first; only HPCLAB_STATE_DIR where that is set.

    Not XDG_RUNTIME_DIR, which vanishes with the login while a cluster must outlive it.
    """
    if named := os.environ.get("HPCLAB_STATE_DIR"):
        return [Path(named)]  # whoever names a place must neither find nor end what runs in another
    public = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108 - what is made there is checked
    places = [Path(place) / f"hpclab-{os.getuid()}" for place in public]
    return [*places, Path(os.environ.get("HOME", "/")) / ".hpclab"]


def home(plain: bool = True) -> Home:
    """Make and return the first candidate that `make` accepts; OSError with every reason if there is none."""
    passed_over: list[str] = []
    for place in candidates():
        try:
            make(place, plain=plain)
        except OSError as error:
            passed_over.append(f"{place}: {error.strerror or error}.")
        else:
            return Home(place, tuple(passed_over))
    raise OSError(
        "There is no private directory for hpclab's state. " + " ".join(passed_over) + " "
        "Set HPCLAB_STATE_DIR to a directory of your own with a short, plain name."
    )


def make(place: Path, plain: bool = True) -> Path:
    """Make `place` (with parents), or accept the one that is there if it is private; else OSError."""
    path, longest = str(place), LONGEST if plain else _LONGEST_QUOTED
    unprintable = not path.isprintable() or re.search(r'["\\]', path)
    for is_wrong, reason in (
        (not place.is_absolute(), "does not begin with /"),
        (plain and not _PLAIN.fullmatch(path), "has characters other than letters, digits and . _ + -"),
        (".." in place.parts, "has .. in it"),
        (unprintable, r'has a " or \, or a character that cannot be printed, and sbatch cannot take it'),
        (len(path) > longest, f"is longer than {longest} characters"),
    ):
        if is_wrong:
            raise OSError(f"its path {reason}")
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _make_or_accept(place)
    with tempfile.TemporaryFile(dir=place) as probe:  # a full or read-only file system shows itself here
        probe.write(b"x" * 4096)
    return place


def _make_or_accept(place: Path) -> None:
    try:
        place.mkdir(mode=0o700)
        place.chmod(0o700)  # whatever the umask took away
    except FileExistsError:
        if reason := why_not_private(place):
            raise OSError(reason) from None


def why_not_private(place: Path) -> str:
    """Empty where `place` is a directory of ours that nobody else can write to, else the reason."""
    status = place.lstat()
    if stat.S_ISLNK(status.st_mode):
        return "it is a link"
    if not stat.S_ISDIR(status.st_mode):
        return "it is not a directory"
    if status.st_uid != os.getuid():
        return "it belongs to another user"
    if status.st_mode & 0o022:
        return "others can write to it"
    for above in place.parents:
        status = above.stat()
        if status.st_uid not in (0, os.getuid()):
            return f"{above} belongs to another user"
        if status.st_mode & 0o022 and not status.st_mode & stat.S_ISVTX:
            return f"others can write to {above}"
    return ""


@contextlib.contextmanager
def lock(directory: Path, patience: float = 90.0) -> Iterator[None]:
    """Context manager in which no other process works on `directory`; TimeoutError after `patience` s.

    The lock's file goes with the directory, and an empty home with it, so a lock that was waited for is
    checked again: its file may be gone by then.
    """
    path = directory.with_suffix(".lock")
    deadline = time.monotonic() + patience
    while True:
        try:
            _make_or_accept(directory.parent)
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:  # the one before us has just tidied up
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(handle), path.stat()):
                break
        except FileNotFoundError:  # tidied up between our opening and our locking it
            pass
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(handle)
                raise TimeoutError("Another start or stop has not ended in time; try again.") from None
        os.close(handle)
        time.sleep(0.05)
    try:
        yield
    finally:
        if not directory.exists():
            path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # a home that others still use stays
                path.parent.rmdir()
        os.close(handle)

"""Files that members of a class exchange: those of others are read with caution, ours written atomically."""

import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path


def read(place: Path, largest: int) -> tuple[bytes, os.stat_result]:
    """Return the content and status of the regular file `place`; a symbolic link there is not followed.
    OSError where it cannot be opened, ValueError where it is no regular file or over `largest` bytes."""
    file = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)  # a pipe must not keep us
    try:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("it is no regular file")
        with open(file, "rb", closefd=False) as opened:
            content = opened.read(largest + 1)
    finally:
        os.close(file)
    if len(content) > largest:
        raise ValueError(f"it is larger than {largest:,} bytes")
    return content, status


def put(place: Path, content: bytes, mode: int) -> None:
    """Write a temporary file and rename it to `place`, with permissions `mode` whatever the umask says."""
    draft = place.with_name(f".{secrets.token_hex(16)}.part")
    file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(file, "wb") as opened:
            os.fchmod(file, mode)
            opened.write(content)
        draft.rename(place)
    except BaseException:
        with suppress(OSError):
            draft.unlink()
        raise

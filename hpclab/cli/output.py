"""Standard output that cannot show a sign, that is full, or that nobody reads any more: no traceback."""

import codecs
import contextlib
import functools
import io
import os
import sys
import unicodedata
from collections.abc import Callable, Iterator
from typing import Any

_PLAIN = {
    "\u2212": "-", "\u2013": "-", "\u2014": "-", "\u2026": "...", "\u00d7": "x", "\u00b5": "u", "\u03bc": "u",
    "\u2192": "->", "\u2265": ">=", "\u2264": "<=", "\u2019": "'", "\u201c": '"', "\u201d": '"',
}  # fmt: skip


class Unwritten(Exception):
    """Standard output failed (`unread`: its pipe is closed). No OSError, so that nobody handles it as one."""

    def __init__(self, error: OSError) -> None:
        super().__init__(f"The output cannot be written: {error.strerror or error}.")
        self.unread = isinstance(error, BrokenPipeError)


class _Watched:
    """A stream whose `write` and `flush` raise Unwritten in place of OSError."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._stream, name)
        return functools.partial(_watched, found) if name in ("write", "flush") else found


def _watched(do: Callable, *arguments: Any) -> Any:
    try:
        return do(*arguments)
    except OSError as error:
        raise Unwritten(error) from None


@contextlib.contextmanager
def guarded() -> Iterator[None]:
    """Replace characters that the encoding lacks; at the end flush standard output, or raise Unwritten."""
    codecs.register_error("hpclab-plain", _substitute)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="hpclab-plain")
    if sys.stdout is None:  # its descriptor is closed
        yield
        return
    watched = _Watched(sys.stdout)
    with contextlib.redirect_stdout(watched):
        try:
            yield
        finally:
            watched.flush()


def _substitute(error: UnicodeError) -> tuple[str | bytes, int]:
    """Codec error handler: return a substitute for what the encoding lacks, and where to go on."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    sign = error.object[error.start]
    if "\udc80" <= sign <= "\udcff":  # a byte of a file's name that is in no encoding
        return bytes([ord(sign) - 0xDC00]), error.start + 1
    letters = unicodedata.normalize("NFKD", sign).encode("ascii", "ignore").decode()
    return _PLAIN.get(sign) or letters or "?", error.start + 1


def drop() -> None:
    """Discard what is not written yet, or the interpreter tries again at its end, and complains."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)

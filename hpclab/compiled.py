"""`njit` that compiles anew where Numba's cache would raise: read-only folders, full disks, damage."""

import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numba
from numba.core.caching import FunctionCache


class _Cache(FunctionCache):
    """Numba's cache on disk, in which a load that fails is a miss and a save that fails is a warning."""

    def load_overload(self, *arguments: Any) -> Any:
        try:
            return super().load_overload(*arguments)
        except Exception:  # a file that is cut off, or another's: anything may be in it
            with suppress(Exception):
                self.flush()
            return None

    def save_overload(self, *arguments: Any) -> None:
        try:
            super().save_overload(*arguments)
        except Exception as error:
            _say_once(getattr(error, "strerror", None) or str(error))


def njit(**options: Any) -> Callable[[Callable], Any]:
    """`numba.njit(**options)` as a decorator, cached on disk for later runs where that is possible."""

    def decorate(function: Callable) -> Any:
        compiled = numba.njit(**options)(function)
        if hasattr(compiled, "enable_caching"):  # not where NUMBA_DISABLE_JIT leaves the function as it is
            try:
                compiled._cache = _Cache(compiled.py_func)
            except (RuntimeError, OSError):
                _say_once("neither beside the package nor in your home can anything be written")
        return compiled

    return decorate


_said: list[str] = []


def _say_once(reason: str) -> None:
    if not _said:
        _said.append(reason)
        warnings.warn(
            f"Compiled code cannot be kept here ({reason}), so it is compiled anew at each start, which "
            "takes some seconds: set NUMBA_CACHE_DIR to a folder of your own that can be written.",
            stacklevel=3,
        )

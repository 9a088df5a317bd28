"""NVIDIA's driver asked directly: the quickest honest answer to "is there a GPU that this process may use?".

Loading `libcuda` takes microseconds where there is none, and needs neither torch nor numba where there is
one. Nothing is allocated on a device; but CUDA is started in this process, and whoever forks ranks must not
have done that before. Names and codes are those of the CUDA Driver API.
"""

from __future__ import annotations

import ctypes
import functools
from dataclasses import dataclass

NO_LIBRARY = -1  # not one of CUDA's codes: there was no libcuda to ask
_MAJOR, _MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_*


@dataclass(frozen=True, slots=True)
class Driver:
    """`error` is the code of what failed, or 0; `cuda` the newest CUDA that it runs, such as (13, 0).

    `name` and `capability` (the compute capability, such as (9, 0)) are the first device's, "" where none is.
    """

    error: int = NO_LIBRARY
    cuda: tuple[int, int] = (0, 0)
    name: str = ""
    capability: tuple[int, int] = (0, 0)


@functools.cache
def ask(library: str = "libcuda.so.1") -> Driver:
    """What the driver says now; asked once in a process, as CUDA itself does."""
    try:
        cuda = ctypes.CDLL(library)
    except OSError:
        return Driver()
    version, device, major, minor = (ctypes.c_int() for _ in range(4))
    cuda.cuDriverGetVersion(ctypes.byref(version))
    newest = version.value // 1000, version.value % 1000 // 10
    if error := cuda.cuInit(0) or cuda.cuDeviceGet(ctypes.byref(device), 0):
        return Driver(error, newest)
    name = ctypes.create_string_buffer(256)
    cuda.cuDeviceGetName(name, len(name), device)
    cuda.cuDeviceGetAttribute(ctypes.byref(major), _MAJOR, device)
    cuda.cuDeviceGetAttribute(ctypes.byref(minor), _MINOR, device)
    return Driver(0, newest, name.value.decode(errors="replace"), (major.value, minor.value))

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
class Device:
    """`capability` is the compute capability, such as (9, 0)."""

    name: str
    capability: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Driver:
    """`error` is cuInit's code, 0 where it worked; `cuda` the newest CUDA it runs, such as (13, 0)."""

    error: int = NO_LIBRARY
    cuda: tuple[int, int] = (0, 0)
    devices: tuple[Device, ...] = ()


@functools.cache
def ask(library: str = "libcuda.so.1") -> Driver:
    """What the driver says now; asked once in a process, as CUDA itself does."""
    try:
        cuda = ctypes.CDLL(library)
    except OSError:
        return Driver()
    version, count = ctypes.c_int(), ctypes.c_int()
    cuda.cuDriverGetVersion(ctypes.byref(version))
    newest = version.value // 1000, version.value % 1000 // 10
    error = cuda.cuInit(0) or cuda.cuDeviceGetCount(ctypes.byref(count))
    return Driver(error, newest, tuple(_device(cuda, number) for number in range(count.value)))


def _device(cuda: ctypes.CDLL, number: int) -> Device:
    handle, major, minor = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
    name = ctypes.create_string_buffer(256)
    cuda.cuDeviceGet(ctypes.byref(handle), number)
    cuda.cuDeviceGetName(name, len(name), handle)
    cuda.cuDeviceGetAttribute(ctypes.byref(major), _MAJOR, handle)
    cuda.cuDeviceGetAttribute(ctypes.byref(minor), _MINOR, handle)
    return Device(name.value.decode(errors="replace"), (major.value, minor.value))

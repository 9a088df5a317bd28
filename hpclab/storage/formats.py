"""The corpus's tokens stored in four ways on any fsspec file system, and read back sample by sample: the same
bytes, in more or fewer requests for a batch.

    write("shards", corpus.load().tokens, fs, "/tmp/tokens", length=512)
    samples = open_samples("shards", fs, "/tmp/tokens")     # a map-style Dataset for torch's DataLoader
    samples[3]                                              # 512 tokens, int32
"""

import io
import itertools
import json
import mmap
import os
import sys
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import h5py
import numpy
from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem

from hpclab import checks
from hpclab.storage.samples import Samples, StoredSamplesError, reason

SHARD = 2**20  # bytes of samples in a shard, about
CHUNK = 16  # samples in a chunk of HDF5
MOST = 10**9  # bytes of samples
_NOTE = "samples.json"  # empty while the samples are being written


class Files(Samples):
    """A file for each sample: the file system opens one for every sample that is read."""

    @classmethod
    def pack(cls, samples: numpy.ndarray) -> Iterator[tuple[str, bytes]]:
        return ((_file(index), sample.tobytes()) for index, sample in enumerate(samples))

    def _place(self, index: int) -> tuple[str, int]:
        return _file(index), 0

    def _read(self, name: str, start: int, size: int) -> bytes:
        return self.fs.cat_file(f"{self.folder}/{name}")


class Shards(Samples):
    """Tar files of about a MiB, a member for each sample, as WebDataset has them. A tar has no table of
    contents: it is made here, by one pass over the shards, and then any sample is read by its offset."""

    def __init__(self, fs: AbstractFileSystem, folder: str, count: int, length: int) -> None:
        super().__init__(fs, folder, count, length)
        self._starts = numpy.full(count, -1)
        for index in range(0, count, max(1, SHARD // self.size)):
            with suppress(OSError, tarfile.TarError, ValueError, IndexError):  # said when the sample is read
                content = io.BytesIO(fs.cat_file(f"{folder}/{_shard(index, self.size)}"))
                with tarfile.open(fileobj=content, mode="r:", ignore_zeros=True) as tar:
                    for member in tar:
                        self._starts[int(member.name)] = member.offset_data

    @classmethod
    def pack(cls, samples: numpy.ndarray) -> Iterator[tuple[str, bytes]]:
        size = samples[0].nbytes
        for name, members in itertools.groupby(range(len(samples)), lambda index: _shard(index, size)):
            content = io.BytesIO()
            with tarfile.open(fileobj=content, mode="w", format=tarfile.USTAR_FORMAT) as tar:
                for index in members:
                    member = tarfile.TarInfo(f"{index:07}")
                    member.size = size
                    tar.addfile(member, io.BytesIO(samples[index].tobytes()))
            yield name, content.getvalue()

    def _place(self, index: int) -> tuple[str, int]:
        name, start = _shard(index, self.size), int(self._starts[index])
        if start < 0:
            raise self._damaged(name, index, "is not there: the shard is missing or damaged")
        return name, start


class Array(Samples):
    """One array (samples, length) of uint16: mapped into memory on a local disk, byte ranges elsewhere."""

    def _inside(self, file: Any) -> Any:
        if not isinstance(self.fs, LocalFileSystem):
            return file
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def _read(self, name: str, start: int, size: int) -> bytes:
        mapped = self._file(name)
        if isinstance(mapped, mmap.mmap):  # touching it beyond the end of a file that was cut would kill us
            size = max(0, min(size, mapped.size() - start))
        return super()._read(name, start, size)


class HDF5(Samples):
    """An HDF5 file whose chunks hold 16 samples and a checksum: one sample alone costs a whole chunk."""

    name = "samples.h5"

    @classmethod
    def pack(cls, samples: numpy.ndarray) -> Iterator[tuple[str, bytes]]:
        content = io.BytesIO()
        with h5py.File(content, "w") as file:
            chunks = (min(CHUNK, len(samples)), samples.shape[1])
            file.create_dataset("samples", data=samples, chunks=chunks, fletcher32=True)
        yield cls.name, content.getvalue()

    def _inside(self, file: Any) -> Any:
        return h5py.File(file, "r", rdcc_nbytes=2 * CHUNK * self.size)["samples"]

    def _read(self, name: str, start: int, size: int) -> bytes:
        rows = self._file(name)[start // self.size : (start + size) // self.size]
        return rows.astype("<u2", casting="equiv").tobytes()


FORMATS: dict[str, type[Samples]] = {"files": Files, "shards": Shards, "array": Array, "hdf5": HDF5}


def write(format: str, tokens: Any, fs: AbstractFileSystem, root: str | Path, *, length: int = 512) -> None:
    """Cut `tokens` into samples of `length` tokens (a rest is dropped) and keep them in ``root/format``, in
    place of older ones. StoredSamplesError, with nothing left half-written, where they cannot be written."""
    kind = FORMATS[checks.choice("format", format, FORMATS)]
    tokens, length = numpy.asarray(tokens), checks.integer("length", length, 1, 2**24, "tokens")
    count = tokens.size // length
    whole = tokens.ndim == 1 and tokens.dtype.kind in "iu" and count
    if not whole or (tokens < 0).any() or (tokens >= 2**16).any():
        raise ValueError(f"tokens must be {length} or more numbers below 65536, not {checks.shown(tokens)}.")
    samples = tokens[: count * length].reshape(count, length).astype("<u2", copy=False)
    if samples.nbytes > MOST:
        raise ValueError(f"These are {samples.nbytes} bytes: take fewer tokens, at most {MOST // 2:,}.")
    folder, note = f"{root}/{format}", f"{root}/{format}/{_NOTE}"
    if fs.exists(folder) and not fs.exists(note):
        raise StoredSamplesError(f"{folder} holds something else: name another folder, or remove it.")
    try:
        with suppress(FileNotFoundError):
            fs.rm(folder, recursive=True)
        fs.makedirs(folder)
        fs.pipe_file(note, b"")
        for place, files in itertools.groupby(kind.pack(samples), lambda file: os.path.dirname(file[0])):
            fs.makedirs(f"{folder}/{place}".rstrip("/"), exist_ok=True)
            for name, content in files:
                fs.pipe_file(f"{folder}/{name}", content)
        fs.pipe_file(note, json.dumps({"count": count, "length": length}).encode())
    except BaseException as error:
        with suppress(OSError):
            fs.rm(folder, recursive=True)
        if isinstance(error, OSError):
            raise StoredSamplesError(f"{folder} cannot be written ({reason(error)}): name another.") from None
        raise


def open_samples(format: str, fs: AbstractFileSystem, root: str | Path) -> Samples:
    """Open what `write` wrote in ``root/format``; StoredSamplesError where it is missing or not whole."""
    folder = f"{root}/{checks.choice('format', format, FORMATS)}"
    try:
        note = json.loads(fs.cat_file(f"{folder}/{_NOTE}"))
        count = checks.integer("count", note["count"], 1, 2**40)
        length = checks.integer("length", note["length"], 1, 2**24)
    except (OSError, ValueError, TypeError, KeyError):
        raise StoredSamplesError(f"{folder} holds no whole set of samples: write it first.") from None
    return FORMATS[format](fs, folder, count, length)


def evict(fs: AbstractFileSystem, root: str | Path) -> bool:
    """Ask the operating system to drop the files below `root` from its page cache, so that they come from the
    disk again; return whether it could be asked (Linux, its own disks). What is mapped stays, names and sizes
    stay known, and the host of a virtual machine has a cache of its own."""
    if not isinstance(fs, LocalFileSystem) or sys.platform != "linux":
        return False
    for path in fs.find(str(root)):
        with open(path, "rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return True


def _file(index: int) -> str:
    return f"{index // 256:04}/{index:07}.tokens"


def _shard(index: int, size: int) -> str:
    return f"shard-{index // max(1, SHARD // size):05}.tar"

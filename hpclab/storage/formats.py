"""The corpus's tokens stored in four ways on any fsspec file system, and read back sample by sample.

    write("shards", corpus.load().tokens, fs, "/tmp/tokens", length=512)
    samples = open_samples("shards", fs, "/tmp/tokens")     # a map-style Dataset for torch's DataLoader
    samples[3]                                              # 512 tokens, int32

Every format holds the same bytes. What differs is how many requests bring a batch, and how large they are.
"""

import io
import itertools
import json
import mmap
import os
import sys
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import h5py
import numpy
import torch
from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem
from torch.utils.data import Dataset

from hpclab import checks
from hpclab.trace import record

SHARD = 2**20  # bytes of samples in a shard, about
CHUNK = 16  # samples in a chunk of HDF5
MOST = 10**9  # bytes of samples
_NOTE = "samples.json"  # empty while the samples are being written


class StoredSamplesError(RuntimeError):
    """Stored samples cannot be written or read; the message names the file, the sample and what to do."""


class Samples(Dataset):
    """`samples[i]` are `length` tokens, int32; made by `open_samples`.

    Reading marks its fetch ("input") and its decode ("compute") for a Trace. It may be pickled and forked:
    each process opens its own files.
    """

    name = "samples.uint16"  # the file, where there is only one

    def __init__(self, fs: AbstractFileSystem, folder: str, count: int, length: int) -> None:
        self.fs, self.folder, self.count, self.length = fs, folder, count, length
        self.size = 2 * length  # bytes of a sample
        self._opened: dict[tuple[int, str], Any] = {}

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> torch.Tensor:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[torch.Tensor]:
        """The samples of a batch. torch's DataLoader calls this, so that one request can bring neighbours."""
        if wrong := [index for index in indices if not 0 <= index < self.count]:
            raise IndexError(f"There are samples 0 to {self.count - 1}, and no {wrong[0]}.")
        with record("input", bytes=self.size * len(indices), label="fetch"):
            found = self._fetch(indices)
        with record("compute", label="decode"):
            numbers = [numpy.frombuffer(found[index], "<u2") for index in indices]
            return [torch.from_numpy(each.astype(numpy.int32)) for each in numbers]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": {}}

    @classmethod
    def pack(cls, samples: numpy.ndarray) -> Iterator[tuple[str, bytes]]:
        """Name and content of each file that holds `samples`, of shape (samples, length), uint16."""
        yield cls.name, samples.tobytes()

    def _place(self, index: int) -> tuple[str, int]:
        """The file with the sample, and where in it the sample begins."""
        return self.name, index * self.size

    def _file(self, name: str) -> Any:
        """A file that this process has open; forked from another, it opens its own."""
        own = os.getpid(), name
        if own not in self._opened:
            if len(self._opened) > 99:
                self._opened.clear()
            file = self.fs.open(f"{self.folder}/{name}", "rb", cache_type="none")
            self._opened[own] = self._inside(file)
        return self._opened[own]

    def _inside(self, file: Any) -> Any:
        return file

    def _read(self, name: str, start: int, size: int) -> bytes:
        file = self._file(name)
        file.seek(start)
        return file.read(size)

    def _fetch(self, indices: Sequence[int]) -> dict[int, bytes]:
        """The bytes of each sample, neighbours in one file by one request."""
        places, found = {index: self._place(index) for index in sorted(indices)}, {}
        for _, run in itertools.groupby(enumerate(places), lambda at: (places[at[1]][0], at[1] - at[0])):
            together = [index for _, index in run]
            name, start = places[together[0]]
            try:
                content = self._read(name, start, places[together[-1]][1] + self.size - start)
            except (OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
                raise self._damaged(name, together[0], f"cannot be read ({_why(error)})") from None
            for index in together:
                begin = places[index][1] - start
                found[index] = content[begin : begin + self.size]
                if len(found[index]) < self.size:
                    raise self._damaged(name, index, "is cut off")
        return found

    def _damaged(self, name: str, index: int, what: str) -> StoredSamplesError:
        return StoredSamplesError(f"{self.folder}/{name}: sample {index} {what}. Write the samples again.")


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
    """Tar files of about a MiB, a member for each sample, as WebDataset has them.

    A tar has no table of contents: it is made here, by one pass over the shards, and then any sample can be
    read by its offset. Nothing is extracted.
    """

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
    """Cut `tokens` into samples of `length` tokens and keep them in ``root/format``, in place of older ones.

    What does not fill a sample is dropped. ValueError for more than MOST bytes; StoredSamplesError, with
    nothing left half-written, where the disk is full or may not be written to.
    """
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
            raise StoredSamplesError(f"{folder} cannot be written ({_why(error)}): name another.") from None
        raise


def open_samples(format: str, fs: AbstractFileSystem, root: str | Path) -> Samples:
    """What `write` wrote; StoredSamplesError where there is none, or not all of it."""
    folder = f"{root}/{checks.choice('format', format, FORMATS)}"
    try:
        note = json.loads(fs.cat_file(f"{folder}/{_NOTE}"))
        count = checks.integer("count", note["count"], 1, 2**40)
        length = checks.integer("length", note["length"], 1, 2**24)
    except (OSError, ValueError, TypeError, KeyError):
        raise StoredSamplesError(f"{folder} holds no whole set of samples: write it first.") from None
    return FORMATS[format](fs, folder, count, length)


def evict(fs: AbstractFileSystem, root: str | Path) -> bool:
    """Ask the operating system to forget what it holds of the files below `root`; whether it could be asked.

    Then reading comes from the disk again ("cold"). It cannot be asked on macOS, nor where the file system is
    not this machine's. Names and sizes stay known, what is mapped stays, and the host of a virtual machine
    has a cache of its own.
    """
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


def _why(error: BaseException) -> str:
    """One line of an error, without its number."""
    said = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return said.splitlines()[0].rstrip(".")

"""Samples of tokens on any fsspec file system: what all formats of `formats` share when they read."""

import itertools
import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy
import torch
from fsspec import AbstractFileSystem
from torch.utils.data import Dataset

from hpclab.trace import record


class StoredSamplesError(RuntimeError):
    """Stored samples cannot be written or read; the message names the file, the sample and what to do."""


class Samples(Dataset):
    """A Dataset of torch: `samples[i]` are `length` tokens, int32; `open_samples` makes it. Reading marks
    fetch ("input") and decode ("compute") for a Trace. It may be pickled and forked: each process opens its
    own files."""

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
        """Name of the file with sample `index`, and the byte at which the sample begins in it."""
        return self.name, index * self.size

    def _file(self, name: str) -> Any:
        """The file `name`, opened once by each process: a forked one opens its own."""
        own = os.getpid(), name
        if own not in self._opened:
            if len(self._opened) > 99:
                self._opened.clear()
            file = self.fs.open(f"{self.folder}/{name}", "rb", cache_type="none")
            self._opened[own] = self._inside(file)
        return self._opened[own]

    def _inside(self, file: Any) -> Any:
        """What `_read` reads of the opened `file`: here itself, or a map or an array of its content."""
        return file

    def _read(self, name: str, start: int, size: int) -> bytes:
        file = self._file(name)
        file.seek(start)
        return file.read(size)

    def _fetch(self, indices: Sequence[int]) -> dict[int, bytes]:
        """The bytes of each sample by its index, neighbours in one file read by one request."""
        places, found = {index: self._place(index) for index in sorted(indices)}, {}
        for _, run in itertools.groupby(enumerate(places), lambda at: (places[at[1]][0], at[1] - at[0])):
            together = [index for _, index in run]
            name, start = places[together[0]]
            try:
                content = self._read(name, start, places[together[-1]][1] + self.size - start)
            except (OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
                raise self._damaged(name, together[0], f"cannot be read ({reason(error)})") from None
            for index in together:
                begin = places[index][1] - start
                found[index] = content[begin : begin + self.size]
                if len(found[index]) < self.size:
                    raise self._damaged(name, index, "is cut off")
        return found

    def _damaged(self, name: str, index: int, what: str) -> StoredSamplesError:
        return StoredSamplesError(f"{self.folder}/{name}: sample {index} {what}. Write the samples again.")


def reason(error: BaseException) -> str:
    """Return the message of an error in one line, without its errno."""
    said = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return said.splitlines()[0].rstrip(".")

"""Equal tokens from every format over any file system, and what is damaged is named and never executed."""

import os
import pickle
import random
import sys

import fsspec
import numpy
import pytest
import torch
from fsspec.implementations.local import LocalFileSystem

from hpclab.storage import formats
from hpclab.storage.formats import FORMATS, StoredSamplesError, evict, open_samples, write

pytestmark = pytest.mark.slow  # all of them together

LENGTH, COUNT = 512, 1500  # more than one shard, and a chunk that is not full
TOKENS = numpy.random.default_rng(0).integers(0, 2**16, LENGTH * COUNT + 7).astype("<u2")


def same(samples, indices):
    found = torch.stack(samples.__getitems__(indices)).numpy()
    return (found == TOKENS[: LENGTH * COUNT].reshape(COUNT, LENGTH)[indices]).all()


@pytest.mark.parametrize("protocol", ["file", "memory"])
@pytest.mark.parametrize("format", FORMATS)
def test_samples_come_back_alone_and_in_batches_with_few_requests(format, protocol, tmp_path, monkeypatch):
    fs = fsspec.filesystem(protocol)
    write(format, TOKENS, fs, tmp_path)
    samples = pickle.loads(pickle.dumps(open_samples(format, fs, tmp_path)))
    assert len(samples) == COUNT
    assert all(same(samples, [index]) for index in range(COUNT))
    assert same(samples, [*random.sample(range(COUNT), 50), 3, 4, 4, 2])
    assert samples[0].shape == (LENGTH,)
    assert str(samples[0].dtype) == "torch.int32"
    for wrong in (-1, COUNT):
        with pytest.raises(IndexError, match=r"There are samples 0 to 1499, and no "):
            samples[wrong]
    asked = []
    monkeypatch.setattr(samples, "_read", lambda *what, read=samples._read: asked.append(what) or read(*what))
    samples.__getitems__([7, 5, 6, 8, 20])
    assert len(asked) == (5 if format == "files" else 2)
    fs.rm(str(tmp_path), recursive=True)


@pytest.mark.parametrize("format", ["shards", "array", "hdf5"])
def test_a_forked_process_opens_files_of_its_own(format, tmp_path, monkeypatch):
    write(format, TOKENS, LocalFileSystem(), tmp_path)
    samples = open_samples(format, LocalFileSystem(), tmp_path)
    opened = samples._file(samples._place(0)[0])
    assert samples._file(samples._place(1)[0]) is opened
    monkeypatch.setattr(formats.os, "getpid", lambda: -1)  # as if
    assert samples._file(samples._place(0)[0]) is not opened


def files_of(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".json")


@pytest.mark.parametrize("share", [0, 0.5, 0.99])
@pytest.mark.parametrize("format", FORMATS)
def test_a_file_that_is_cut_off_is_named_and_the_rest_is_read(format, share, tmp_path):
    write(format, TOKENS, LocalFileSystem(), tmp_path)
    samples, path = open_samples(format, LocalFileSystem(), tmp_path), files_of(tmp_path / format)[0]
    assert same(samples, [COUNT - 1])  # now some have a file open, or mapped
    os.truncate(path, int(share * path.stat().st_size))
    found, said = 0, set()
    for again in (samples, open_samples(format, LocalFileSystem(), tmp_path)):
        for index in range(COUNT):
            try:
                found += same(again, [index])
            except StoredSamplesError as error:
                said.add(str(error).replace(f"sample {index} ", "sample "))
    assert said
    assert all(str(path) in each and each.count(". ") == 1 for each in said), said
    left = {"files": 0.9, "shards": 0.3, "array": share - 0.01, "hdf5": 0}[format]
    assert found >= 2 * COUNT * left
    path.unlink()
    with pytest.raises(StoredSamplesError, match=r"sample 0 .*Write the samples again\.$"):
        open_samples(format, LocalFileSystem(), tmp_path)[0]


def test_a_bad_header_in_a_tar_hides_one_sample(tmp_path):
    write("shards", TOKENS, LocalFileSystem(), tmp_path)
    path = files_of(tmp_path / "shards")[0]
    content = bytearray(path.read_bytes())
    content[3 * 1536 + 2] ^= 4  # the name of sample 3, which the header's checksum covers
    path.write_bytes(content)
    samples = open_samples("shards", LocalFileSystem(), tmp_path)
    with pytest.raises(StoredSamplesError, match=r"shard-00000.tar: sample 3 is not there"):
        samples[3]
    assert same(samples, [index for index in range(COUNT) if index != 3])


class Trap:
    def __reduce__(self):
        return os.mkdir, ("trapped",)


@pytest.mark.parametrize("format", FORMATS)
def test_nothing_in_a_file_is_executed(format, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(format, TOKENS, LocalFileSystem(), tmp_path)
    for path in files_of(tmp_path / format):
        path.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(StoredSamplesError):
        open_samples(format, LocalFileSystem(), tmp_path)[1]
    assert not (tmp_path / "trapped").exists()


@pytest.mark.parametrize("error", [OSError(28, "Full"), OSError(30, "Read-only"), KeyboardInterrupt()])
def test_what_cannot_be_written_leaves_nothing(error, tmp_path, monkeypatch):
    fs, written = LocalFileSystem(), []

    def pipe_file(path, value, pipe_file=fs.pipe_file):
        written.append(path)
        pipe_file(path, value[:100])
        if len(written) == 12:
            raise error

    monkeypatch.setattr(fs, "pipe_file", pipe_file)
    with pytest.raises(StoredSamplesError if isinstance(error, OSError) else KeyboardInterrupt):
        write("files", TOKENS, fs, tmp_path)
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(StoredSamplesError, match="write it first"):
        open_samples("files", fs, tmp_path)


def test_bad_input_is_refused(tmp_path, refused, monkeypatch):
    fs = LocalFileSystem()
    (tmp_path / "array").mkdir()
    (tmp_path / "array" / "theirs").touch()
    for tokens in (TOKENS[:10], ["a"] * 600, [-1] * 600, [2**16] * 600):
        refused(lambda tokens=tokens: write("files", tokens, fs, tmp_path))
    refused(lambda: write("zip", TOKENS, fs, tmp_path))
    refused(lambda: write("files", TOKENS, fs, tmp_path, length=0))
    with pytest.raises(StoredSamplesError, match="something else"):
        write("array", TOKENS, fs, tmp_path)
    monkeypatch.setattr(formats, "MOST", 1000)
    refused(lambda: write("files", TOKENS, fs, tmp_path))
    assert [path.name for path in tmp_path.rglob("*")] == ["array", "theirs"]


@pytest.mark.skipif(sys.platform != "linux", reason="this system has no such call")
def test_every_file_is_evicted_where_that_can_be_asked(tmp_path, monkeypatch):
    fs, asked = LocalFileSystem(), []
    write("files", TOKENS[: 9 * LENGTH], fs, tmp_path)
    monkeypatch.setattr(os, "posix_fadvise", lambda file, *what: asked.append((os.fstat(file).st_ino, *what)))
    assert evict(fs, tmp_path)
    assert set(asked) == {(fs.info(path)["ino"], 0, 0, os.POSIX_FADV_DONTNEED) for path in fs.find(tmp_path)}
    assert not evict(fsspec.filesystem("memory"), "/")

"""One checkpoint as files: those of torch.distributed.checkpoint (DCP) with a manifest, read without trust.

DCP reads `.metadata` with pickle and what is no tensor with ``torch.load(weights_only=False)``. Both run code
that a stranger wrote, who can compute checksums, too: these tell accidents only. Here the manifest says in
JSON what `.metadata` does, and everything else is read with ``weights_only=True``.
"""

import hashlib
import io
import json
import os
import stat
from pathlib import Path
from typing import Any

import torch
from torch.distributed.checkpoint import FileSystemReader, FileSystemWriter
from torch.distributed.checkpoint._traverse import set_element
from torch.distributed.checkpoint.default_planner import DefaultLoadPlanner
from torch.distributed.checkpoint.filesystem import _StorageInfo
from torch.distributed.checkpoint.metadata import (
    BytesStorageMetadata,
    ChunkStorageMetadata,
    Metadata,
    MetadataIndex,
    TensorProperties,
    TensorStorageMetadata,
)
from torch.distributed.checkpoint.storage import WriteResult
from torch.futures import Future

MANIFEST, METADATA = "manifest.json", ".metadata"


class Damaged(Exception):
    """A checkpoint cannot be used; the message says why, in a clause."""


class Writer(FileSystemWriter):
    """Writes a rank's part into `part`; rank 0 adds the manifest last and then renames `part` to `target`."""

    def __init__(self, part: Path, target: Path, step: int, needed: int) -> None:
        super().__init__(part, sync_files=False)  # `_seal` does that
        self.part, self.target, self.step, self.needed = part, target, step, needed

    def storage_meta(self) -> None:
        """Return nothing: DCP's own would only tell this folder's path."""

    def write_data(self, plan: Any, planner: Any) -> Future:
        """Write as DCP does; return its results and this rank's checksums, which so reach rank 0."""
        try:
            results = super().write_data(plan, planner).value()
        except RuntimeError as error:  # behind which PyTorch hides the disk's own error
            raise (error.__context__ or error) from None
        mine = {file.name: _seal(file) for file in self.part.glob(f"{plan.storage_data.prefix}*")}
        done: Future = Future()
        done.set_result([*results, WriteResult(MetadataIndex(MANIFEST), 0, mine)])
        return done

    def finish(self, metadata: Metadata, results: list[list[WriteResult]]) -> None:
        """Write metadata and manifest and rename the folder: rank 0 does, when all have written."""
        files = {name: known for each in results for name, known in each.pop().storage_data.items()}
        for name in files:
            if not (self.part / name).exists():
                raise OSError(f"rank 0 does not see {name}: all ranks must share the folder's file system")
        super().finish(metadata, results)
        files[METADATA] = _seal(self.part / METADATA)
        body = {"step": self.step, "files": files} | _described(metadata)
        (self.part / MANIFEST).write_text(json.dumps(body | {"checksum": _checksum(body)}))
        _seal(self.part / MANIFEST)
        self.part.rename(self.target)


class LoadPlanner(DefaultLoadPlanner):
    """DCP's own, which loads what is no tensor with ``weights_only=True``."""

    def load_bytes(self, read_item: Any, value: io.BytesIO) -> None:
        loaded = torch.load(value, weights_only=True)
        set_element(self.original_state_dict, self.mappings[read_item.dest_index.fqn], loaded)


class Reader(FileSystemReader):
    """DCP's own, which takes the metadata from a manifest that `check` found to be whole."""

    def check(self, rank: int, ranks: int) -> None:
        """Set `step` and `metadata` from the manifest; Damaged or OSError says why the checkpoint is not
        whole. Its files must be those listed, plain and of their size; of their checksums this rank checks
        its share."""
        folder = Path(self.path)
        found = {each.name: each.lstat() for each in folder.iterdir()}
        odd = [name for name, status in found.items() if not stat.S_ISREG(status.st_mode)]
        if odd or folder.is_symlink():
            raise Damaged(f"{(odd or ['it'])[0]} is a link or no plain file")
        if MANIFEST not in found:
            raise Damaged(f"{MANIFEST} is missing")
        with open(folder / MANIFEST, "rb") as file:
            text = file.read(2**28)
        try:
            body = json.loads(text)
            intact = body.pop("checksum") == _checksum(body)
            self.step = int(body["step"])
            files = {name: (size, digest) for name, (size, digest) in body["files"].items()}
            self.metadata = _metadata(body)
            intact &= {place.relative_path for place in self.metadata.storage_data.values()} <= files.keys()
        except Exception:  # whatever a stranger wrote
            intact = False
        if not intact:
            raise Damaged(f"{MANIFEST} is damaged")
        for name in sorted(files.keys() ^ found.keys() - {MANIFEST}):
            raise Damaged(f"{name[:60]} {'is missing' if name in files else 'does not belong there'}")
        for name, (size, _) in files.items():
            if found[name].st_size != size:
                raise Damaged(f"{name} has {found[name].st_size} bytes, and was saved with {size}")
        for name in sorted(files)[rank::ranks]:
            if _digest(folder / name) != files[name][1]:
                raise Damaged(f"{name} is damaged: its checksum is not the one it was saved with")

    def read_metadata(self, *args: Any, **kwargs: Any) -> Metadata:
        return self.metadata


def _described(metadata: Metadata) -> dict[str, Any]:
    """DCP's metadata as JSON takes it: each tensor's size and chunks, and where every part lies."""
    tensors = {
        name: (each.size, [(chunk.offsets, chunk.sizes) for chunk in each.chunks])
        for name, each in metadata.state_dict_metadata.items()
        if isinstance(each, TensorStorageMetadata)
    }
    places = [
        (index.fqn, index.offset, place.relative_path, place.offset, place.length)
        for index, place in metadata.storage_data.items()
    ]
    return {"tensors": tensors, "places": places}


def _metadata(body: dict[str, Any]) -> Metadata:
    """The reverse of `_described`."""
    places = {MetadataIndex(name, offset): _StorageInfo(*rest) for name, offset, *rest in body["places"]}
    parts: dict[str, Any] = {index.fqn: BytesStorageMetadata() for index in places}
    for name, (size, chunks) in body["tensors"].items():
        pieces = [ChunkStorageMetadata(torch.Size(offsets), torch.Size(sizes)) for offsets, sizes in chunks]
        parts[name] = TensorStorageMetadata(TensorProperties(), torch.Size(size), pieces)
    return Metadata(parts, storage_data=places)


def _seal(file: Path) -> tuple[int, str]:
    """Make a file its owner's alone, flush it to the disk, and return its size and checksum."""
    file.chmod(0o600)
    with open(file, "rb+") as opened:
        os.fsync(opened.fileno())
    return file.stat().st_size, _digest(file)


def _digest(file: Path) -> str:
    with open(file, "rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _checksum(body: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()

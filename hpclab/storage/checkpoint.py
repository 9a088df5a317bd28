"""Checkpoints of a training: saved by all ranks, complete or not there, and the newest good one found again.

    checkpoints = Checkpoints("runs/tiny")                      # on every rank, after the process group
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "lr": 0.1}
    step = checkpoints.load(state)                              # None: there is none yet
    optimizer.load_state_dict(state["optimizer"])               # the model's own tensors are filled already
    checkpoints.save_in_background(100, state)                  # training goes on; the next save waits for it

Each rank writes its own shards and a part of what all have (torch.distributed.checkpoint), and any number of
ranks can load them. One training at a time saves in a folder.
"""

import io
import re
import shutil
import warnings
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint._nested_dict import flatten_state_dict
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.utils import _DistWrapper

from hpclab import checks
from hpclab.storage.checkpoint_files import LoadPlanner, Reader, Writer
from hpclab.units import format_bytes, parse_bytes

_NAME = re.compile(r"\d{6}-step-\d+")  # the number counts the saves: a newer one may be of an older step
_PATIENCE = timedelta(minutes=10)  # how long ranks wait for the slowest one to write


class Checkpoints:
    """The checkpoints in `folder`: the newest `keep` stay, and none larger than `largest` is written. After
    `load` `passed_over` says which newer ones could not be used; the next save removes these."""

    def __init__(self, folder: str | Path, keep: int = 2, largest: str | int = "1 GB") -> None:
        self.folder = Path(checks.instance("folder", folder, str | Path, "a path")).absolute()
        self.keep = checks.integer("keep", keep, 1, 10**6)
        self.largest = parse_bytes(largest)
        self.passed_over: list[str] = []
        self._bad: set[str] = set()
        self._pending: tuple[Callable[[], object], Writer] | None = None
        several = dist.is_available() and dist.is_initialized()
        # A group of its own: a background save must not mix with the training's collectives.
        group = dist.new_group(backend="gloo", timeout=_PATIENCE) if several else None
        self._ranks = _DistWrapper(group, several, coordinator_rank=0)
        if not several:
            warnings.filterwarnings("ignore", message="torch.distributed is disabled", category=UserWarning)

    def save(self, step: int, state: dict[str, Any]) -> None:
        """Write `state` as the newest checkpoint, and return when it is complete on all ranks.

        `state`: a nested dict of tensors (DTensors too) and plain values, which are rank 0's; a tensor that
        differs from rank to rank needs a name of its own on each. ValueError where it is too large, OSError
        where it cannot be written: the checkpoints before it are untouched.
        """
        writer = self._begin(step, state)
        write = partial(dcp.save, state, storage_writer=writer, process_group=self._ranks.group)
        self._pending = write, writer
        self.wait()

    def save_in_background(self, step: int, state: dict[str, Any]) -> None:
        """As `save`, but return when `state` is copied; its errors are raised by the next save or `wait`."""
        writer = self._begin(step, state)
        future: Any = dcp.async_save(state, storage_writer=writer, process_group=self._ranks.group)
        self._pending = future.result, writer

    def wait(self) -> None:
        """Return when the background save is complete; OSError as `save`. An interrupt abandons it."""
        if self._pending is None:
            return
        (write, writer), self._pending = self._pending, None
        try:
            write()
        except BaseException as error:
            shutil.rmtree(writer.part, ignore_errors=True)
            raise self._not_saved(writer.step, _cause(error), writer.needed) from None
        if self._ranks.is_coordinator:
            self._bad.discard(writer.target.name)
            good = [name for name in self._names() if name not in self._bad]
            for name in self._bad.union(good[: -self.keep]):
                shutil.rmtree(self.folder / name, ignore_errors=True)

    def load(self, into_state: dict[str, Any]) -> int | None:
        """Fill `into_state` from the newest good checkpoint and return its step; None where there is none.

        Tensors are filled in place, sharded as they are here, when the ranks have shared the checking of the
        files' checksums. ValueError where names or shapes differ.
        """
        self.wait()
        names, self.passed_over = self._ranks.broadcast("sweep", self._sweep)
        rank, ranks, group = self._ranks.rank, self._ranks.get_world_size(), self._ranks.group
        half_filled = False
        for name in reversed(names):
            reader = Reader(self.folder / name)
            try:
                self._ranks.all_gather("check", partial(reader.check, rank, ranks))
                self._compare(into_state, reader.metadata.state_dict_metadata)
                half_filled = True
                dcp.load(into_state, storage_reader=reader, planner=LoadPlanner(), process_group=group)
                return reader.step
            except CheckpointException as error:
                self.passed_over.append(f"The checkpoint {name} was passed over: {_cause(error)}.")
                self._bad.add(name)
        if half_filled:
            said = " ".join(self.passed_over)
            raise OSError(f"No checkpoint could be loaded, and the state is half filled. {said}")
        return None

    def _names(self) -> list[str]:
        """The complete checkpoints, the newest last."""
        return sorted(each.name for each in self.folder.glob("*-step-*") if _NAME.fullmatch(each.name))

    def _sweep(self) -> tuple[list[str], list[str]]:
        """Remove what killed saves left; return `_names()`, and a sentence for each of those saves."""
        said = []
        for each in self.folder.glob(".*-step-*.part"):
            shutil.rmtree(each, ignore_errors=True)
            said.append(f"The checkpoint {each.stem[1:]} was only half written and has been removed.")
        return self._names(), said

    def _begin(self, step: int, state: dict[str, Any]) -> Writer:
        """Make the folder in which the new checkpoint is written, and return its Writer."""
        self.wait()
        step, flat = checks.integer("step", step, 0, 10**15), _flat(state)
        mine = {key: part.nbytes for key, part in flat.items() if isinstance(part, torch.Tensor)}
        sizes = {key: size for each in self._ranks.all_gather_object(mine) for key, size in each.items()}
        needed = sum(sizes.values())
        if needed > self.largest:
            size, most = (format_bytes(each, binary=False) for each in (needed, self.largest))
            raise ValueError(
                f"A checkpoint of {size} is more than {most}: give Checkpoints a larger `largest`."
            )
        try:
            name = self._ranks.broadcast("make room", partial(self._make_room, step, needed))
        except CheckpointException as error:
            raise self._not_saved(step, _cause(error), needed) from None
        return Writer(self.folder / f".{name}.part", self.folder / name, step, needed)

    def _make_room(self, step: int, needed: int) -> str:
        """Make the new checkpoint's folder and return its name; OSError if `needed` bytes are not free."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        names, _ = self._sweep()
        name = f"{int(names[-1][:6]) + 1 if names else 1:06d}-step-{step}"
        part = self.folder / f".{name}.part"
        part.mkdir(mode=0o700)
        if shutil.disk_usage(self.folder).free < needed:
            part.rmdir()
            raise OSError("it does not fit")
        return name

    def _not_saved(self, step: int, why: str, needed: int) -> OSError:
        place = next(each for each in (self.folder, *self.folder.parents) if each.is_dir())
        free = format_bytes(shutil.disk_usage(place).free, binary=False)
        return OSError(
            f"The checkpoint of step {step} was not saved in {self.folder}: {why}. It needs "
            f"{format_bytes(needed, binary=False)}, {free} are free, and those before it are untouched."
        )

    def _compare(self, state: dict[str, Any], saved: dict[str, Any]) -> None:
        """Raise ValueError where `state` has other names or shapes than `saved`, DCP's metadata."""
        shapes = {name: tuple(getattr(value, "shape", ())) for name, value in _flat(state).items()}
        here = {name: shape for each in self._ranks.all_gather_object(shapes) for name, shape in each.items()}
        there = {name: tuple(getattr(value, "size", ())) for name, value in saved.items()}
        for name in sorted(here.keys() | there.keys()):
            saved_as, now = there.get(name, "missing"), here.get(name, "missing")
            if saved_as != now:
                raise ValueError(
                    f"{name} is {saved_as} in the checkpoint and {now} in the state to load: make that as it "
                    "was saved; an optimizer has its tensors after its first step."
                )


def _flat(state: dict[str, Any]) -> dict[str, Any]:
    """Return the nested `state` by DCP's dotted names; ValueError for what a checkpoint cannot hold."""
    flat = flatten_state_dict(checks.instance("state", state, dict, "a dict of tensors and values"))[0]
    for name, value in flat.items():
        try:
            if not isinstance(value, torch.Tensor):  # to find out now, and not when it is needed
                torch.save(value, file := io.BytesIO())
                torch.load(io.BytesIO(file.getvalue()), weights_only=True)
        except Exception:
            raise ValueError(
                f"{name} of the state must be a tensor, a number, text, True, False, None or a list of them, "
                f"not {type(value).__name__}: leave it out."
            ) from None
    return flat


def _cause(error: BaseException) -> str:
    """Return an error's cause in a clause, of several ranks' the lowest one's; raise an interrupt again."""
    where = ""
    if isinstance(error, CheckpointException):
        rank = min(error.failures)
        where, error = f"rank {rank}: " * bool(rank), error.failures[rank][0]
    if not isinstance(error, Exception):
        raise error
    words = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return where + (" ".join(words.split())[:300].rstrip(".") or type(error).__name__)

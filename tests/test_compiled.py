"""Compiled code is kept where that can be, and a cache is never a reason to stop."""

from __future__ import annotations

import warnings
from pathlib import Path

import numba
import pytest

from hpclab import compiled


def twice(number):
    return 2 * number


class Start:
    """What a fresh process finds: `twice` compiled anew or read from the cache, and what was said."""

    def __init__(self) -> None:
        compiled._said.clear()
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            function = compiled.njit()(twice)
            assert (function(21), function(1.5)) == (42, 3.0)
        self.read = sum(function.stats.cache_hits.values())
        self.said = [str(one.message) for one in said]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    return tmp_path


def test_a_second_start_finds_what_the_first_compiled(cache: Path):
    assert Start().read == 0
    assert Start().read == 2


@pytest.mark.parametrize(
    ("ending", "left"), [("nbi", b""), ("nbi", b"\x80\x04garbage"), ("nbi", 20), ("nbc", b""), ("nbc", 300)]
)
def test_a_damaged_file_of_the_cache_costs_the_compilation_and_is_mended(cache: Path, ending: str, left):
    Start()
    for file in cache.rglob(f"*.{ending}"):
        file.write_bytes(file.read_bytes()[:left] if isinstance(left, int) else left)
    again = Start()
    assert (again.read, again.said) == (0, [])
    assert Start().read == 2


def test_nowhere_to_keep_it_is_said_once_and_no_obstacle(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("numba.core.caching.CacheImpl._locator_classes", [])
    (said,) = Start().said
    assert "compiled anew at each start" in said
    with warnings.catch_warnings(record=True) as more:
        compiled.njit()(twice)
    assert more == []


def test_a_disk_that_is_full_is_said_once_and_no_obstacle(cache: Path, monkeypatch: pytest.MonkeyPatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("numba.core.caching.IndexDataCacheFile.save", full)
    (said,) = Start().said
    assert "No space left on device" in said


def test_a_folder_that_was_removed_meanwhile_is_made_again(cache: Path):
    Start()
    for file in cache.rglob("*.nb?"):
        file.unlink()
    next(cache.iterdir()).rmdir()
    assert Start().said == []


def test_without_a_compiler_the_function_stays_as_it_is(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(numba.config, "DISABLE_JIT", 1)
    assert compiled.njit()(twice) is twice

"""Compiled code is kept where that can be, and a cache is never a reason to stop."""

import warnings

import numba
import pytest

from hpclab import compiled


def twice(number):
    return 2 * number


def start():
    """How often a fresh process reads `twice` from the cache instead of compiling it, and what is said."""
    compiled._said.clear()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        function = compiled.njit()(twice)
        assert (function(21), function(1.5)) == (42, 3.0)
    return sum(function.stats.cache_hits.values()), [str(one.message) for one in said]


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ending", "left"),
    [("nbi", b""), ("nbi", b"\x80\x04garbage"), ("nbi", 20), ("nbc", b""), ("nbc", 300), ("nb?", None)],
)
def test_a_second_start_finds_what_the_first_compiled_and_mends_what_is_damaged(cache, ending, left):
    assert start() == (0, [])
    assert start() == (2, [])
    for file in cache.rglob(f"*.{ending}"):
        if left is None:
            file.unlink()
        else:
            file.write_bytes(file.read_bytes()[:left] if isinstance(left, int) else left)
    if left is None:
        next(cache.iterdir()).rmdir()
    assert start() == (0, [])
    assert start() == (2, [])


def full(*_):
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize(
    ("place", "instead", "words"),
    [
        ("CacheImpl._locator_classes", [], "compiled anew at each start"),
        ("IndexDataCacheFile.save", full, "No space left on device"),
    ],
)
def test_nowhere_to_keep_it_is_said_once_and_no_obstacle(cache, monkeypatch, place, instead, words):
    monkeypatch.setattr(f"numba.core.caching.{place}", instead)
    _, (said,) = start()
    assert words in said
    with warnings.catch_warnings(record=True) as more:
        compiled.njit()(twice)(21)
    assert more == []


def test_without_a_compiler_the_function_stays_as_it_is(monkeypatch):
    monkeypatch.setattr(numba.config, "DISABLE_JIT", 1)
    assert compiled.njit()(twice) is twice

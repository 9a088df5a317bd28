"""What is saved is loaded unchanged, and anything else is refused in a sentence."""

import os
from pathlib import Path

import numpy
import pytest

from hpclab.cluster.host import private
from hpclab.corpus import StoredCorpusError, cache_directory, load, save

TOKENS = numpy.random.default_rng(1).integers(0, 300, 5_000).astype("<u2")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HPCLAB_CACHE_DIR", str(tmp_path))


@pytest.fixture
def folder(corpus, tokeniser):
    return save(corpus, tokeniser, TOKENS).parent


def test_a_saved_corpus_comes_back_with_its_tokeniser(folder, corpus, tokeniser):
    stored = load()
    numpy.testing.assert_array_equal(stored.tokens, TOKENS)
    assert stored.tokeniser == tokeniser
    text = (folder / "manifest.json").read_text()
    assert corpus.checksum in text
    assert str(Path.home()) not in text
    assert corpus.files[0].name not in text
    assert folder.stat().st_mode & 0o777 == 0o700
    assert all(file.stat().st_mode & 0o777 == 0o600 for file in folder.iterdir())
    with pytest.raises(ValueError, match="read-only"):
        stored.tokens[0] = 1


@pytest.mark.parametrize(
    ("file", "damage", "words"),
    [
        ("*.uint16", lambda content: content[:9_999], "checksum"),
        ("*.uint16", lambda content: content[:999] + bytes([content[999] ^ 4]) + content[1000:], "checksum"),
        ("manifest.json", lambda content: content[: len(content) // 2], "is damaged"),
        ("manifest.json", lambda content: content.replace(b'"data": "', b'"data": "../../'), "is damaged"),
        ("manifest.json", lambda content: b"[]", "is damaged"),
        ("*.uint16", None, "is missing"),
        ("manifest.json", None, "no saved corpus"),
    ],
)
def test_what_is_damaged_or_missing_is_refused(folder, file, damage, words):
    (path,) = folder.glob(file)
    content = path.read_bytes()
    path.unlink()
    if damage is not None:
        path.write_bytes(damage(content))
        assert path.read_bytes() != content
    with pytest.raises(StoredCorpusError, match=rf"{words}.* Run lesson 05"):
        load()


def test_a_second_save_replaces_the_first_and_a_failed_one_does_not(folder, corpus, tokeniser, monkeypatch):
    save(corpus, tokeniser, TOKENS[::-1])
    numpy.testing.assert_array_equal(load().tokens, TOKENS[::-1])
    assert len(list(folder.iterdir())) == 2

    def full(file):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save(corpus, tokeniser, TOKENS)
    numpy.testing.assert_array_equal(load().tokens, TOKENS[::-1])
    assert len(list(folder.iterdir())) == 2


def test_a_link_in_place_of_the_folder_is_refused(corpus, tokeniser, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "corpus").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoredCorpusError, match="HPCLAB_CACHE_DIR"):
        save(corpus, tokeniser, TOKENS)
    assert not list((tmp_path / "elsewhere").iterdir())


def test_the_cache_folder_can_be_chosen(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("HPCLAB_CACHE_DIR", raising=False)
    assert cache_directory() == tmp_path / "hpclab"
    monkeypatch.setenv("HPCLAB_CACHE_DIR", str(tmp_path / "own place"))
    assert cache_directory() == tmp_path / "own place"


def test_a_home_that_cannot_be_written_is_passed_over(corpus, tokeniser, monkeypatch, tmp_path):
    (tmp_path / "full").write_text("a file where the folder should be")
    monkeypatch.setenv("HPCLAB_CACHE_DIR", str(tmp_path / "full"))
    monkeypatch.setattr(private, "home", lambda: private.Home(tmp_path / "state"))
    assert save(corpus, tokeniser, TOKENS) == tmp_path / "state" / "corpus" / "manifest.json"
    assert len(load().tokens) == len(TOKENS)

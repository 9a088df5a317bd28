"""What is saved is loaded unchanged, and anything else is refused in a sentence."""

import json
import os
from pathlib import Path

import numpy
import pytest

from hpclab.cluster.host import private
from hpclab.corpus import StoredCorpusError, cache_directory, load, save

TOKENS = numpy.random.default_rng(1).integers(0, 300, 5_000).astype("<u2")


@pytest.fixture
def folder(corpus, tokeniser, tmp_path):
    save(corpus, tokeniser, TOKENS, tmp_path / "corpus")
    return tmp_path / "corpus"


def test_a_saved_corpus_comes_back_with_its_tokeniser(folder, corpus, tokeniser):
    stored = load(folder)
    numpy.testing.assert_array_equal(stored.tokens, TOKENS)
    assert stored.tokeniser == tokeniser
    assert stored.manifest["corpus"] == corpus.checksum
    text = (folder / "manifest.json").read_text()
    assert str(Path.home()) not in text
    assert corpus.files[0].name not in text
    assert folder.stat().st_mode & 0o777 == 0o700
    assert all(file.stat().st_mode & 0o777 == 0o600 for file in folder.iterdir())
    with pytest.raises(ValueError, match="read-only"):
        stored.tokens[0] = 1


def unusable(folder, words):
    with pytest.raises(StoredCorpusError, match=rf"{words}.* Run lesson 05"):
        load(folder)


@pytest.mark.parametrize("keep", [0, 9_999])
def test_a_truncated_file_is_refused_and_a_missing_one(folder, keep):
    (data,) = folder.glob("*.uint16")
    data.write_bytes(data.read_bytes()[:keep])
    unusable(folder, "is cut off")
    data.unlink()
    unusable(folder, "is missing")


def test_one_flipped_bit_is_refused(folder):
    (data,) = folder.glob("*.uint16")
    content = bytearray(data.read_bytes())
    content[1234] ^= 4
    data.write_bytes(content)
    unusable(folder, "checksum")


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: text.replace('"tokens": 5000', '"tokens": 4000'),
        lambda text: text.replace('"data": "', '"data": "../../'),
        lambda text: "[]",
        lambda text: json.dumps({"checksum": "x"}),
    ],
)
def test_a_damaged_manifest_is_refused(folder, damage):
    path = folder / "manifest.json"
    text = path.read_text()
    path.write_text(damage(text))
    assert path.read_text() != text
    unusable(folder, "is damaged")


def test_nothing_saved_yet_says_what_to_do(tmp_path):
    unusable(tmp_path / "corpus", "no saved corpus")


def test_a_second_save_replaces_the_first_and_a_failed_one_does_not(folder, corpus, tokeniser, monkeypatch):
    save(corpus, tokeniser, TOKENS[::-1], folder)
    numpy.testing.assert_array_equal(load(folder).tokens, TOKENS[::-1])
    assert len(list(folder.iterdir())) == 2

    def full(file):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save(corpus, tokeniser, TOKENS, folder)
    numpy.testing.assert_array_equal(load(folder).tokens, TOKENS[::-1])
    assert len(list(folder.iterdir())) == 2


def test_a_link_in_place_of_the_folder_is_refused(corpus, tokeniser, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "corpus").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoredCorpusError, match="HPCLAB_CACHE_DIR"):
        save(corpus, tokeniser, TOKENS, tmp_path / "corpus")
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

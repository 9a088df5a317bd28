"""However the corpus is cut and in whatever order the pieces come back, the tokens are the same."""

from __future__ import annotations

import random

import numpy
import pytest

from hpclab.corpus import chunks, collect, fingerprint, join, tokenise, tokenise_with, train
from hpclab.trace import listen

CORPUS = collect("1 MiB")
TOKENISER = train(CORPUS, vocabulary=512, sample=2**18)


def test_chunks_hold_every_file_once_in_order() -> None:
    for size in (2**14, 2**17, 2**30):
        cut = chunks(CORPUS, size)
        assert [file for chunk in cut for file in chunk.files] == list(CORPUS.files)
        assert all(chunk.size <= size or len(chunk.files) == 1 for chunk in cut)
        assert [chunk.index for chunk in cut] == list(range(len(cut)))
    assert len(chunks(CORPUS, "1 GiB")) == 1


def test_tokens_do_not_depend_on_chunk_size_or_order_of_arrival() -> None:
    prints = set()
    for size in ("32 KiB", "300 KiB", "1 GiB"):
        shards = [tokenise(TOKENISER, chunk) for chunk in chunks(CORPUS, size)]
        random.Random(5).shuffle(shards)
        prints.add(fingerprint(join(shards)))
    assert len(prints) == 1


def test_a_shard_decodes_to_its_files_with_an_end_after_each() -> None:
    chunk = chunks(CORPUS, "64 KiB")[0]
    shard = tokenise_with(TOKENISER)(chunk)
    ends = numpy.flatnonzero(shard.tokens == TOKENISER.end_of_document)
    assert len(ends) == shard.documents == len(chunk.files)
    assert TOKENISER.decode(shard.tokens) == "".join(file.read() for file in chunk.files)


def test_reading_is_marked_as_storage_with_its_bytes() -> None:
    chunk = chunks(CORPUS, "64 KiB")[0]
    with listen() as marks:
        tokenise(TOKENISER, chunk)
    assert [(kind, size) for kind, _, _, size, _ in marks] == [("input", chunk.size)]


def test_a_missing_or_double_shard_is_noticed() -> None:
    shards = [tokenise(TOKENISER, chunk) for chunk in chunks(CORPUS, "256 KiB")[:3]]
    for wrong in (shards[1:], [*shards, shards[0]], []):
        with pytest.raises(ValueError, match="missing or there twice"):
            join(wrong)


@pytest.mark.parametrize("size", [0, -1, 1023, float("inf"), None, "large"])
def test_a_senseless_chunk_size_is_refused(size: object) -> None:
    with pytest.raises(ValueError, match=r"\.$"):
        chunks(CORPUS, size)  # type: ignore[arg-type]

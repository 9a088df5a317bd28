"""However the corpus is cut and in whatever order the pieces come back, the tokens are the same."""

import random

import numpy
import pytest

from hpclab.corpus import Corpus, chunks, fingerprint, join, tokenise
from hpclab.trace import listen


def test_chunks_hold_every_file_once_in_order(corpus):
    for size in (2**14, 2**17, 2**30):
        cut = chunks(corpus, size)
        assert [file for chunk in cut for file in chunk.files] == list(corpus.files)
        assert all(chunk.size <= size or len(chunk.files) == 1 for chunk in cut)
        assert [chunk.index for chunk in cut] == list(range(len(cut)))
    assert len(chunks(corpus, "1 GiB")) == 1
    assert repr(chunks(corpus, "1 GiB")[0]).startswith(f"<Chunk 0 of {len(corpus.files)} files, ")
    assert repr(corpus).startswith(f"<Corpus of {len(corpus.files):,} files, ")


def test_tokens_do_not_depend_on_chunk_size_or_order_of_arrival(corpus, tokeniser):
    part, prints = Corpus(corpus.files[::4], {}), set()
    for size, least in (("16 KiB", 10), ("100 KiB", 2), ("1 GiB", 1)):
        shards = [tokenise(tokeniser, chunk) for chunk in chunks(part, size)]
        assert len(shards) >= least
        random.Random(5).shuffle(shards)
        tokens = join(shards)
        prints |= {fingerprint(tokens), fingerprint(tokens.astype(numpy.int64))}
    assert len(prints) == 1


def test_a_shard_decodes_to_its_files_with_an_end_after_each(corpus, tokeniser):
    chunk = chunks(corpus, "64 KiB")[0]
    with listen() as marks:
        shard = tokenise(tokeniser, chunk)
    assert [(kind, size) for kind, _, _, size, _ in marks] == [("input", chunk.size)]  # reading is storage
    assert numpy.count_nonzero(shard.tokens == tokeniser.end_of_document) == len(chunk.files)
    assert tokeniser.decode(shard.tokens) == "".join(file.read() for file in chunk.files)
    assert len(shard.tokens) < 0.6 * chunk.size


def test_a_missing_or_double_shard_is_noticed(corpus, tokeniser):
    shards = [tokenise(tokeniser, chunk) for chunk in chunks(corpus, "32 KiB")[:3]]
    for wrong in (shards[1:], [*shards, shards[0]], []):
        with pytest.raises(ValueError, match="missing or there twice"):
            join(wrong)

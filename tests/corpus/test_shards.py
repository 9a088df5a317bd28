"""However the corpus is cut, the tokens are the same."""

import numpy

from hpclab.corpus import Corpus, chunks, fingerprint, tokenise
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


def test_tokens_do_not_depend_on_chunk_size(corpus, tokeniser):
    part, prints = Corpus(corpus.files[::4], {}), set()
    for size, least in (("16 KiB", 10), ("100 KiB", 2), ("1 GiB", 1)):
        shards = [tokenise(tokeniser, chunk) for chunk in chunks(part, size)]
        assert len(shards) >= least
        tokens = numpy.concatenate(shards)
        prints |= {fingerprint(tokens), fingerprint(tokens.astype(numpy.int64))}
    assert len(prints) == 1


def test_a_shard_decodes_to_its_files_with_an_end_after_each(corpus, tokeniser):
    chunk = chunks(corpus, "64 KiB")[0]
    with listen() as marks:
        tokens = tokenise(tokeniser, chunk)
    assert [(kind, size) for kind, _, _, size, _ in marks] == [("input", chunk.size)]  # reading is storage
    assert numpy.count_nonzero(tokens == tokeniser.end_of_document) == len(chunk.files)
    assert tokeniser.decode(tokens) == "".join(file.read() for file in chunk.files)
    assert len(tokens) < 0.6 * chunk.size

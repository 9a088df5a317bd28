"""The text the course trains on, its byte-pair tokeniser, and the tokens that lesson 05 makes of it."""

from hpclab.corpus.files import Corpus, CorpusMismatch, collect
from hpclab.corpus.shards import Chunk, chunks, fingerprint, tokenise
from hpclab.corpus.store import StoredCorpusError, cache_directory, load, load_or_make, save
from hpclab.corpus.tokeniser import Tokeniser, train

__all__ = [
    "Chunk", "Corpus", "CorpusMismatch", "StoredCorpusError", "Tokeniser", "cache_directory", "chunks",
    "collect", "fingerprint", "load", "load_or_make", "save", "tokenise", "train",
]  # fmt: skip

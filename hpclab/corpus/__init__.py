"""The text the course trains on, its byte-pair tokeniser, and the tokens that lesson 05 makes of it."""

from hpclab.corpus.files import Chunk, Corpus, CorpusMismatch, chunks, collect
from hpclab.corpus.store import StoredCorpusError, cache_directory, load, load_or_make, save
from hpclab.corpus.tokeniser import Tokeniser, fingerprint, tokenise, train

__all__ = [
    "Chunk", "Corpus", "CorpusMismatch", "StoredCorpusError", "Tokeniser", "cache_directory", "chunks",
    "collect", "fingerprint", "load", "load_or_make", "save", "tokenise", "train",
]  # fmt: skip

"""A byte-pair tokeniser: the most frequent pair of neighbouring tokens becomes a new token, again and again.

Tokens 0 to 255 are the bytes, merge number k makes token 256 + k, one more token ends a document. So every
text can be encoded, and decoding gives it back exactly. Sennrich, Haddow and Birch, ACL 2016, with the byte
alphabet of GPT-2 (Radford et al., 2019).
"""

import functools
import hashlib
import itertools
import json
import os
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy

from hpclab import checks
from hpclab.corpus.files import Chunk, Corpus
from hpclab.trace import record

LARGEST_VOCABULARY = 65_535  # so that a token fits in two bytes
_SAMPLE = 4 * 2**20  # bytes to learn from
_THREADS = "TOKENIZERS_PARALLELISM"


@dataclass(frozen=True, slots=True, repr=False)
class Tokeniser:
    """A byte-pair encoding of text. `merges` holds pairs of tokens as little-endian uint16: 15 KB for 4,096
    tokens, which travel with each task, so that a worker needs no file from the notebook."""

    merges: bytes

    def __repr__(self) -> str:
        return f"<Tokeniser of {self.end_of_document + 1:,} tokens>"

    @property
    def end_of_document(self) -> int:
        """The token after each file. No text contains it: it stands for no bytes."""
        return 256 + len(self.merges) // 4

    def encode(self, text: str) -> numpy.ndarray:
        """The text's tokens, shape (tokens,), uint16, without an end-of-document token; on one core."""
        checks.instance("text", text, str, "text")
        # encode, not encode_batch: a batch starts the library's own threads, even for one text
        return numpy.asarray(_engine(self.merges).encode(text).ids, dtype="<u2")

    def decode(self, tokens: Iterable[int]) -> str:
        """The text of these tokens, without ends of documents. A slice may begin or end inside a character:
        its bytes are then shown as U+FFFD."""
        wanted = checks.integers("token", tokens, 0, self.end_of_document)
        return str(_engine(self.merges).decode([t for t in wanted if t != self.end_of_document]))

    def pieces(self, text: str) -> list[str]:
        """The text of each token of `text`, in order, to look at."""
        return [self.decode([token]) for token in self.encode(text)]


def train(corpus: Corpus, vocabulary: int = 4096) -> Tokeniser:
    """Learn the merges from the first 4 MiB of the corpus, a fair sample as it is in a mixed order.
    `vocabulary` counts bytes, merges and the end-of-document token: 300 to 65,535."""
    from tokenizers import models, trainers

    vocabulary = checks.integer("The vocabulary", vocabulary, 300, LARGEST_VOCABULARY, "tokens")
    checks.instance("corpus", corpus, Corpus)
    engine = _byte_level(models.BPE())
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary - 1, show_progress=False, initial_alphabet=_byte_letters()
    )
    begins = itertools.accumulate((file.size for file in corpus.files), initial=0)
    texts = (file.read() for file, begin in zip(corpus.files, begins, strict=False) if begin < _SAMPLE)
    # the library's threads would survive in the kernel and be copied, broken, into forked children
    before, os.environ[_THREADS] = os.environ.get(_THREADS), "false"
    try:
        engine.train_from_iterator(texts, trainer)
    finally:  # and no other name, which a thread may have set meanwhile
        del os.environ[_THREADS]
        if before is not None:
            os.environ[_THREADS] = before
    learnt = json.loads(engine.to_str())["model"]["merges"][: vocabulary - 257]
    ids = {letter: byte for byte, letter in enumerate(_byte_letters())}
    merges = b""
    for left, right in learnt:
        merges += struct.pack("<HH", ids[left], ids[right])
        ids.setdefault(left + right, 256 + len(merges) // 4 - 1)
    return Tokeniser(merges)


def tokenise(tokeniser: Tokeniser, chunk: Chunk, files: Any = None) -> numpy.ndarray:
    """The tokens of the chunk's files, shape (tokens,), uint16, an end-of-document token after each.

    `files` is the fsspec file system to read from, None for this environment. In a trace reading is storage;
    the rest is compute on one core.
    """
    with record("input", bytes=chunk.size, label=f"chunk {chunk.index}"):
        texts = chunk.texts(files)
    end = numpy.array([tokeniser.end_of_document], dtype="<u2")
    return numpy.concatenate([part for text in texts for part in (tokeniser.encode(text), end)])


def fingerprint(tokens: numpy.ndarray) -> str:
    """SHA-256 of the tokens' bytes: the same for the same tokens, wherever they were made."""
    checks.instance("tokens", tokens, numpy.ndarray, "an array of tokens")
    if tokens.dtype != "<u2" and not (tokens.dtype.kind in "iu" and ((tokens >= 0) & (tokens < 2**16)).all()):
        raise ValueError(f"tokens must be an array of whole numbers from 0 to 65535, not of {tokens.dtype}.")
    return hashlib.sha256(tokens.astype("<u2", copy=False).tobytes()).hexdigest()


@functools.lru_cache(maxsize=2)  # a worker builds it for its first chunk and keeps it
def _engine(merges: bytes) -> Any:
    from tokenizers import models

    letters = _byte_letters()
    rules = []
    for left, right in struct.iter_unpack("<HH", merges):
        rules.append((letters[left], letters[right]))
        letters.append(letters[left] + letters[right])
    ids: dict[str, int] = {}
    for number, text in enumerate(letters):
        ids.setdefault(text, number)
    return _byte_level(models.BPE(vocab=ids, merges=rules))


def _byte_level(model: Any) -> Any:
    """A tokeniser of the `tokenizers` library with this `model` over GPT-2's byte alphabet."""
    from tokenizers import Tokenizer, decoders, pre_tokenizers

    engine = Tokenizer(model)
    engine.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    engine.decoder = decoders.ByteLevel()
    return engine


def _byte_letters() -> list[str]:
    """A printable character for each byte, in the order of the bytes (GPT-2's table)."""
    plain, shifted = {*range(33, 127), *range(161, 173), *range(174, 256)}, itertools.count(256)
    return [chr(byte if byte in plain else next(shifted)) for byte in range(256)]

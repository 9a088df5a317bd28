"""The work that is spread over the nodes: a chunk of neighbouring files goes in, their tokens come out. In
the chunks' order they are the same for every chunk size, number of nodes and assignment of chunks to nodes.
"""

import hashlib
import itertools
from dataclasses import dataclass
from typing import Any

import numpy

from hpclab import checks, units
from hpclab.corpus.files import Corpus, Source
from hpclab.corpus.tokeniser import Tokeniser
from hpclab.trace import record


@dataclass(frozen=True, slots=True, repr=False)
class Chunk:
    """Neighbouring files of the corpus; one task's worth of work."""

    index: int
    files: tuple[Source, ...]

    def __repr__(self) -> str:
        return f"<Chunk {self.index} of {len(self.files)} files, {units.format_bytes(self.size)}>"

    @property
    def size(self) -> int:
        """Bytes of text."""
        return sum(file.size for file in self.files)

    @property
    def name(self) -> str:
        """What it is called in a store that keeps each chunk as one object."""
        return f"chunk-{self.index:05}"

    def content(self) -> bytes:
        """What such a store keeps of it: its files' bytes, one after the other."""
        return "".join(file.read() for file in self.files).encode()

    def texts(self, files: Any = None) -> list[str]:
        """The text of each file, from this environment or from `files`, an fsspec file system that keeps the
        chunk as one object; CorpusMismatch where it is not what was collected."""
        if files is None:
            return [file.read() for file in self.files]
        content, ends = files.cat_file(self.name), itertools.accumulate(file.size for file in self.files)
        return [file.text(content[end - file.size : end]) for file, end in zip(self.files, ends, strict=True)]


def chunks(corpus: Corpus, chunk_bytes: str | int) -> list[Chunk]:
    """Cut the corpus into chunks of whole files, of at most `chunk_bytes` (a number, or ``"512 KiB"``); only
    a chunk of a single file may be larger."""
    largest = checks.integer("The chunk size", units.parse_bytes(chunk_bytes), 1024, 2**40, "bytes")
    groups: list[list[Source]] = []
    size = 0
    for file in checks.instance("corpus", corpus, Corpus).files:
        if not groups or size + file.size > largest:
            groups.append([])
            size = 0
        groups[-1].append(file)
        size += file.size
    return [Chunk(index, tuple(group)) for index, group in enumerate(groups)]


def tokenise(tokeniser: Tokeniser, chunk: Chunk, files: Any = None) -> numpy.ndarray:
    """The tokens of the chunk's files, shape (tokens,), uint16, an end-of-document token after each.

    `files` is where they are read, as `Chunk.texts` has it. Reading is marked as storage; the rest is
    compute on one core.
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

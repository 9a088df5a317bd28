"""Encoding loses nothing, training repeats itself, and no text can pretend to be the end of a document."""

from __future__ import annotations

import os
import pickle
import struct
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpclab.corpus import Corpus, Tokeniser

pytestmark = pytest.mark.slow


@settings(deadline=None, max_examples=25)
@given(text=st.text())
def test_decode_gives_back_every_text(text: str, tokeniser: Tokeniser) -> None:
    assert tokeniser.decode(tokeniser.encode(text)) == text


def test_decode_gives_back_every_file_and_shortens_it(corpus: Corpus, tokeniser: Tokeniser) -> None:
    tokens = 0
    for file in corpus.files[:40]:
        text = file.read()
        encoded = tokeniser.encode(text)
        assert encoded.dtype == "<u2"
        assert encoded.max() < tokeniser.end_of_document
        assert tokeniser.decode(encoded) == text
        tokens += len(encoded)
    assert tokens < 0.6 * sum(file.size for file in corpus.files[:40])


def test_training_again_in_another_process_gives_the_same_merges(tokeniser: Tokeniser) -> None:
    program = (
        "from hpclab.corpus import collect, train; print(train(collect('1 MiB'), vocabulary=1024).checksum)"
    )
    environment = os.environ | {"PYTHONHASHSEED": "7", "TOKENIZERS_PARALLELISM": "true"}
    there = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment
    )
    assert there.stdout.strip() == tokeniser.checksum


def test_the_vocabulary_is_as_large_as_asked_and_ends_with_the_end_of_document(tokeniser: Tokeniser) -> None:
    assert tokeniser.vocabulary == 1024
    assert tokeniser.end_of_document == 1023
    assert tokeniser.decode([tokeniser.end_of_document]) == ""
    for text in ("<|endoftext|>", "</s>", "\x00"):
        assert tokeniser.end_of_document not in tokeniser.encode(text)


def test_a_merge_is_what_it_says() -> None:
    tokeniser = Tokeniser(struct.pack("<HHHH", ord("a"), ord("b"), 256, ord("c")))
    assert tokeniser.encode("abcab").tolist() == [257, 256]
    assert tokeniser.pieces("abcab") == ["abc", "ab"]


def test_it_travels_small_and_works_on_the_other_side(tokeniser: Tokeniser) -> None:
    packed = pickle.dumps(tokeniser)
    assert len(packed) < 10_000
    assert pickle.loads(packed).encode("def f(x):").tolist() == tokeniser.encode("def f(x):").tolist()


def test_encoding_uses_one_thread() -> None:
    program = (
        "import os, struct; from hpclab.corpus import Tokeniser\n"
        "Tokeniser(struct.pack('<HH', 97, 98)).encode('ab' * 1000)\n"
        "print(len(os.listdir('/proc/self/task')))"
    )
    if not os.path.isdir("/proc/self/task"):
        pytest.skip("no /proc here to count threads in")
    there = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True,
                           env=os.environ | {"OPENBLAS_NUM_THREADS": "1"})  # fmt: skip
    assert int(there.stdout) == 1


@pytest.mark.parametrize("merges", [b"abc", struct.pack("<HH", 256, 97), b"\0\0\0\0" * 65_279])
def test_merges_that_cannot_be_are_refused(merges: bytes) -> None:
    with pytest.raises(ValueError, match=r"\.$"):
        Tokeniser(merges)

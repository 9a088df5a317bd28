"""Encoding loses nothing, training repeats itself, and no text can pretend to be the end of a document."""

import os
import struct
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpclab.corpus import Tokeniser

pytestmark = pytest.mark.slow


@settings(deadline=None, max_examples=25)
@given(text=st.text() | st.sampled_from(["<|endoftext|>", "</s>", "\x00"]))
def test_decode_gives_back_every_text_and_none_has_an_end(text, tokeniser):
    tokens = tokeniser.encode(text)
    assert tokens.dtype == "<u2"
    assert tokeniser.decode(tokens) == text
    assert tokeniser.end_of_document not in tokens


def test_collecting_and_training_again_in_another_process_give_the_same(corpus, tokeniser):
    program = (
        "from hpclab.corpus import collect, train; corpus = collect('1 MiB')\n"
        "print(corpus.checksum, train(corpus, 1024).merges.hex())"
    )
    environment = os.environ | {"PYTHONHASHSEED": "7", "TOKENIZERS_PARALLELISM": "true"}
    there = subprocess.check_output([sys.executable, "-c", program], text=True, env=environment)
    assert there.split() == [corpus.checksum, tokeniser.merges.hex()]
    assert tokeniser.end_of_document == 1023
    assert tokeniser.decode([tokeniser.end_of_document]) == ""


def test_a_merge_is_what_it_says():
    tokeniser = Tokeniser(struct.pack("<HHHH", ord("a"), ord("b"), 256, ord("c")))
    assert tokeniser.encode("abcab").tolist() == [257, 256]
    assert tokeniser.pieces("abcab") == ["abc", "ab"]
    earlier_first = Tokeniser(struct.pack("<HHHH", ord("b"), ord("c"), ord("a"), ord("b")))
    assert earlier_first.encode("abc").tolist() == [ord("a"), 256]


def test_encoding_uses_one_thread():
    program = (
        "import os, struct; from hpclab.corpus import Tokeniser\n"
        "Tokeniser(struct.pack('<HH', 97, 98)).encode('ab' * 1000)\n"
        "print(len(os.listdir('/proc/self/task')))"
    )
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    assert subprocess.check_output([sys.executable, "-c", program], text=True, env=environment) == "1\n"

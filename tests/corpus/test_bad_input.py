"""Bad input into the corpus is refused in one sentence."""

import math
import struct

import numpy
import pytest

from hpclab import corpus

LETTERS = corpus.Tokeniser(struct.pack("<HH", 97, 98))
TEXT = corpus.Corpus((), {})
TOKENS = numpy.zeros(1, "<u2")


@pytest.mark.parametrize("bad", [-1, math.nan, "two", None], ids=repr)
def test_what_is_none_of_it(bad, refused):
    for call in (
        lambda: corpus.collect(bad), lambda: corpus.train(bad), lambda: corpus.train(TEXT, vocabulary=bad),
        lambda: corpus.chunks(bad, 4096), lambda: corpus.chunks(TEXT, bad),
        lambda: corpus.fingerprint(bad), lambda: corpus.save(bad, LETTERS, TOKENS),
        lambda: corpus.save(TEXT, bad, TOKENS), lambda: corpus.save(TEXT, LETTERS, bad),
        lambda: LETTERS.encode(3), lambda: LETTERS.decode(bad), lambda: LETTERS.decode([97, bad]),
        lambda: corpus.fingerprint(numpy.array([97, bad])),
    ):  # fmt: skip
        refused(call)


def test_what_is_just_outside(refused):
    for call in (
        lambda: corpus.collect(2**19 - 1),
        lambda: corpus.train(TEXT, 299), lambda: corpus.train(TEXT, 65_536),
        lambda: corpus.chunks(TEXT, 1023), lambda: LETTERS.decode([258]),
        lambda: corpus.fingerprint(numpy.array([65_536])),
    ):  # fmt: skip
        refused(call)

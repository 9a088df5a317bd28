"""0, -1, NaN, infinity, 1e30, text, None and a wrong type into the corpus: one sentence."""

import math
import struct

import numpy
import pytest

from hpclab import corpus

LETTERS = corpus.Tokeniser(struct.pack("<HH", 97, 98))
TEXT = corpus.Corpus((), {})
TOKENS = numpy.zeros(1, "<u2")


@pytest.mark.parametrize("bad", [0, -1, math.nan, math.inf, 1e30, "two", None, [1]], ids=repr)
def test_what_is_none_of_it(bad, refused):
    calls = [
        lambda: corpus.collect(bad), lambda: corpus.train(bad), lambda: corpus.train(TEXT, vocabulary=bad),
        lambda: corpus.chunks(bad, 4096), lambda: corpus.chunks(TEXT, bad),
        lambda: corpus.fingerprint(bad), lambda: corpus.save(bad, LETTERS, TOKENS),
        lambda: corpus.save(TEXT, bad, TOKENS), lambda: corpus.save(TEXT, LETTERS, bad),
    ]  # fmt: skip
    calls += [] if isinstance(bad, list) else [lambda: LETTERS.decode(bad)]
    calls += [] if isinstance(bad, str) else [lambda: LETTERS.encode(bad)]
    for call in calls:
        refused(call)


@pytest.mark.parametrize("bad", [-1, 2.5, 65_536, math.nan, math.inf, 1e30, "two", None], ids=repr)
def test_what_is_no_token(bad, refused):
    refused(lambda: LETTERS.decode([97, bad]))
    refused(lambda: corpus.fingerprint(numpy.array([97, bad])))

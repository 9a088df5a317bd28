"""0, -1, NaN, infinity, 1e30, text, None and a wrong type into the corpus: one sentence."""

from __future__ import annotations

import math
import struct

import numpy
import pytest

from hpclab import corpus

LETTERS = corpus.Tokeniser(struct.pack("<HH", 97, 98))
TEXT = corpus.Corpus((), {})


@pytest.mark.parametrize("bad", [0, -1, math.nan, math.inf, 1e30, "two", None, [1]], ids=repr)
def test_what_is_none_of_it(bad, refused, tmp_path):
    refused(lambda: corpus.collect(bad))
    refused(lambda: corpus.train(bad))
    refused(lambda: corpus.train(TEXT, vocabulary=bad))
    refused(lambda: corpus.chunks(bad, 4096))
    refused(lambda: corpus.chunks(TEXT, bad))
    refused(lambda: corpus.Tokeniser(bad))
    refused(lambda: corpus.fingerprint(bad))
    refused(lambda: corpus.save(bad, LETTERS, numpy.zeros(1, "<u2"), tmp_path))
    refused(lambda: corpus.save(TEXT, bad, numpy.zeros(1, "<u2"), tmp_path))
    refused(lambda: corpus.save(TEXT, LETTERS, bad, tmp_path))
    if not isinstance(bad, list):
        refused(lambda: LETTERS.decode(bad))
    if not isinstance(bad, str):
        refused(lambda: LETTERS.encode(bad))
    if not isinstance(bad, str) and bad is not None:
        refused(lambda: corpus.load(bad))
        refused(lambda: corpus.save(TEXT, LETTERS, numpy.zeros(1, "<u2"), bad))


@pytest.mark.parametrize("bad", [-1, 2.5, 65_536, math.nan, math.inf, 1e30, "two", None], ids=repr)
def test_what_is_no_token(bad, refused):
    refused(lambda: LETTERS.decode([97, bad]))
    refused(lambda: corpus.fingerprint(numpy.array([97, bad])))


def test_the_same_tokens_have_one_fingerprint_whatever_their_width():
    narrow, wide = numpy.array([97, 256], "<u2"), numpy.array([97, 256], numpy.int64)
    assert corpus.fingerprint(narrow) == corpus.fingerprint(wide)

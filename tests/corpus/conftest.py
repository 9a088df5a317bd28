"""One corpus of this environment and one tokeniser trained on it, made once for all of these tests."""

from __future__ import annotations

import pytest

from hpclab.corpus import Corpus, Tokeniser, collect, train


@pytest.fixture(scope="session")
def corpus() -> Corpus:
    return collect("1 MiB")


@pytest.fixture(scope="session")
def tokeniser(corpus: Corpus) -> Tokeniser:
    return train(corpus, vocabulary=1024)

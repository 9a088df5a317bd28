"""One corpus of this environment and one tokeniser trained on it, made once for all of these tests."""

import pytest

from hpclab.corpus import collect, train


@pytest.fixture(scope="session")
def corpus():
    return collect("1 MiB")


@pytest.fixture(scope="session")
def tokeniser(corpus):
    return train(corpus, vocabulary=1024)

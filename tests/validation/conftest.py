"""A table or log as a file, predicted."""

import pytest

from hpclab.validation import predictions


@pytest.fixture
def predicted(tmp_path):
    def predict(content, name="nccl_mine.csv", network=""):
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return predictions.predict(tmp_path / name, network)

    return predict

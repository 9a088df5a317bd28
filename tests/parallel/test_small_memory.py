"""A rank with little memory fails with torch's own error, and the limit ends with its block."""

import sys

import pytest

from hpclab.cluster import Pool
from hpclab.parallel import small_memory


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is Linux's")
@pytest.mark.slow
def test_what_does_not_fit_fails_and_what_fits_does_not():
    def attempt(size):
        import torch

        try:
            with small_memory.room_for(64 * 2**20):
                torch.ones(size // 4).sum()
        except RuntimeError as error:
            return small_memory.out_of_memory(error), torch.ones(size // 4).numel()
        return "fits"

    with Pool(1, backend="local") as pool:
        assert pool.run(attempt, 16 * 2**20) == ["fits"]
        assert pool.run(attempt, 256 * 2**20) == [(True, 64 * 2**20)]  # the limit is gone afterwards


def test_other_errors_are_no_lack_of_memory():
    assert not small_memory.out_of_memory(RuntimeError("shapes do not fit"))
    with pytest.raises(ValueError, match="size must be"), small_memory.room_for(0):
        pass

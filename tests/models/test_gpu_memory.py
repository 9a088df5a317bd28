"""Sectors, lines and passes over the banks, by hand, for the patterns of the CUDA programming guide."""

import numpy
import pytest

from hpclab.models.gpu_memory import LINE, KernelTrace, Request, sectors

LANE = numpy.arange(32)


def request(addresses, itemsize=4, space="global", kind="load", lanes=None):
    addresses = tuple(int(at) for at in addresses)
    lanes = tuple(range(len(addresses))) if lanes is None else lanes
    return Request(0, (0, 0, 0), 0, 1, space, kind, "a", itemsize, lanes, addresses, ((0,),) * len(addresses))


@pytest.mark.parametrize(("addresses", "itemsize", "in_sectors", "in_lines"), [
    (4 * LANE, 4, 4, 1),  # aligned: bytes 0 to 127, one line of four sectors
    (4 * LANE + 4, 4, 5, 2),  # misaligned by one item: 4 to 131, the last in sector 4 of line 1
    (0 * LANE, 4, 1, 1),  # broadcast: one sector for all
    (8 * LANE, 4, 8, 2),  # stride 2: every other item of 256 bytes
    (128 * LANE, 4, 32, 32),  # stride 32: one line a lane
    (numpy.array([124]), 8, 2, 2),  # and of two lines
])  # fmt: skip
def test_sectors_and_lines_of_global_memory(addresses, itemsize, in_sectors, in_lines):
    assert len(sectors(addresses, itemsize)) == in_sectors
    assert len(sectors(addresses, itemsize, LINE)) == in_lines


@pytest.mark.parametrize(("words", "itemsize", "lanes", "turns", "conflicts"), [
    (LANE, 4, None, 1, 0),  # a bank for each lane
    (LANE * 2, 4, None, 2, 1),  # words 0 and 32 share bank 0: two lanes a bank, 16 banks idle
    (LANE * 32, 4, None, 32, 31),  # the column of a tile 32 wide: all in bank 0
    (LANE * 33, 4, None, 1, 0),  # padded to 33: back to a bank each
    (LANE * 0, 4, None, 1, 0),  # the same word for all is handed round
    (LANE * 2, 8, None, 2, 0),  # 8-byte items: half a warp at a time, 16 x 2 words on 32 banks
    (LANE * 4, 8, None, 4, 2),  # every other one: in each half, lanes 0 and 8 share banks 0 and 1
    (LANE[:2] * 2, 8, (0, 1), 1, 0),  # within one half: one pass is enough
    (LANE[:2] * 2, 8, (0, 16), 2, 0),  # both halves are served apart: no pass could be spared
])  # fmt: skip
def test_passes_over_the_banks(words, itemsize, lanes, turns, conflicts):
    asked = request(4 * words, itemsize, "shared", lanes=lanes)
    assert (asked.passes, asked.bank_conflicts) == (turns, conflicts)


def test_a_request_knows_what_it_could_have_cost():
    assert (request(8 * LANE).sectors, request(8 * LANE).fewest_sectors) == (8, 4)
    assert (request(0 * LANE).sectors, request(0 * LANE).fewest_sectors) == (1, 1)
    assert request(4 * (LANE // 8)).contention == 8  # eight lanes on one counter
    assert request(128 * LANE, space="global").bank_conflicts == 0


def test_counts_are_sums():
    asked = (request(4 * LANE), request(8 * LANE), request(4 * LANE, space="shared"))
    launch = (1, 1, 1), (32, 1, 1), ((0, 0, 0),)
    both = KernelTrace("kernel", "", *launch, (), asked, (), ()).counts()
    assert (both.requests, both.sectors, both.lines) == (3, 12, 3)

"""Text with units in, SI inside, text with units out."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpclab import units

SIZES = {
    "16 GiB": 16 * 2**30, "1.5MB": 1_500_000, "4096": 4096, 4096: 4096, "500 MB": 500_000_000, "2 kB": 2000,
    "2 KiB": 2048, "1TB": 10**12, "7 B": 7, "1 PiB": 2**50,
}  # fmt: skip
DURATIONS = {
    "90 s": 90, "1.5 ms": 0.0015, "2 h": 7200, "00:10:00": 600, "10:30": 630, "3": 3, "1-02:00:00": 93600,
    "1-02:00": 93600, "1-02": 93600, 2.5: 2.5, "5 µs": 5e-6, "1 d": 86400, "2min": 120,
}  # fmt: skip


def test_sizes_and_durations_are_read_as_slurm_reads_them():
    assert {text: units.parse_bytes(text) for text in SIZES} == SIZES
    assert {text: units.parse_seconds(text) for text in DURATIONS} == pytest.approx(DURATIONS)


@pytest.mark.parametrize(
    ("read", "texts"),
    [
        (units.parse_bytes, ["", "GB", "-1 GB", "1 XB", "1 GB 2", "nan", None, "1e3 MB", "1 gb", "3G"]),
        (units.parse_seconds, ["", "soon", "-3 s", "1:2:3:4", "10 minutes", None, "nan"]),
    ],
)
def test_what_is_none_is_refused(read, texts, refused):
    for text in texts:
        with pytest.raises(ValueError, match="write a number and a unit"):
            read(text)
    for write in (units.format_bytes, units.format_seconds, units.format_flops):
        refused(lambda write=write: write("two"))


def test_gib_is_not_gb():
    assert units.format_bytes(2**30) == "1 GiB"
    assert units.format_bytes(2**30, binary=False) == "1.07 GB"
    assert units.format_bytes(0) == "0 B"
    assert units.format_bytes(1023.9) == "1 KiB", "rounded up to the next unit, not to 1024 B"
    assert units.format_bytes(math.nan) == "nan B"
    assert units.format_flops(312e12) == "312 TFLOP"
    assert units.format_flops(989.4e12, per_second=True) == "989 TFLOP/s"


def test_durations_are_written_in_the_unit_that_reads_best():
    written = {
        0: "0 s", 1e-9: "1 ns", 0.0123: "12.3 ms", 1.5: "1.5 s", 59.99: "1 min", 200: "3 min 20 s",
        7500: "2 h 5 min", -2: "-2 s", math.inf: "inf", -math.inf: "-inf", 3599.9: "1 h 0 min",
    }  # fmt: skip
    assert {seconds: units.format_seconds(seconds) for seconds in written} == written


@settings(deadline=None)
@given(st.integers(0, 2**59), st.booleans())
def test_what_is_written_reads_back_within_its_digits(size, binary):
    read = units.parse_bytes(units.format_bytes(size, binary=binary))
    assert read == pytest.approx(size, rel=0.006, abs=0.5)

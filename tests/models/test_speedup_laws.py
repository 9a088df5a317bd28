"""What the laws of speedup must satisfy for any parameters."""

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as some

from hpclab.models.speedup_laws import USL, Amdahl, Gustafson, serial_fraction

share = some.floats(0, 1)
count = some.floats(1, 1e5)


@given(share, count)
def test_amdahl_is_usl_without_coherency_and_keeps_its_limit(serial, n):
    assert Amdahl(serial).speedup(n) == pytest.approx(float(USL(serial, 0).speedup(n)))
    assert Amdahl(serial).speedup(n) * max(1 / n, serial) <= 1 + 1e-9
    assert Gustafson(serial).speedup(n) >= Amdahl(serial).speedup(n) * (1 - 1e-9)


@given(some.floats(0, 0.99), some.floats(1e-6, 1), count)
def test_usl_peaks_where_it_says(contention, coherency, n):
    law, peak = USL(contention, coherency), max(1.0, ((1 - contention) / coherency) ** 0.5)
    assert law.speedup(n) <= law.speedup(peak) * (1 + 1e-9)


@given(share, some.floats(1.5, 1e4))
def test_the_serial_fraction_is_found_again(serial, n):
    assert serial_fraction(n, float(Amdahl(serial).speedup(n))) == pytest.approx(serial, abs=1e-6)


def test_known_values():
    assert Amdahl(0.05).speedup(16) == pytest.approx(1 / (0.05 + 0.95 / 16))
    assert Gustafson(0.05).speedup(16) == pytest.approx(16 - 0.05 * 15)
    assert USL(0.05, 0.001).speedup(16) == pytest.approx(16 / (1 + 0.05 * 15 + 0.001 * 16 * 15))
    assert Amdahl(0.1).speedup(numpy.ones((2, 3))).shape == (2, 3)

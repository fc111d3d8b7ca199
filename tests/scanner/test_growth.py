"""Slopes of memory readings, and the difference between a leak and a cache that fills up."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import pytest

from securecore_scan.growth import STRETCH, GrowthCurve, theil_sen


def test_slope_of_a_line_is_exact() -> None:
    slope = theil_sen([100.0, 110.0, 120.0, 130.0, 140.0, 150.0])
    assert (slope.low, slope.estimate, slope.high) == (10.0, 10.0, 10.0)


@pytest.mark.parametrize("where", range(8))
def test_one_outlier_does_not_move_the_slope(where: int) -> None:
    blocks = [float(10 * number) for number in range(8)]
    blocks[where] = 1e9
    slope = theil_sen(blocks)
    assert slope.low <= 10 <= slope.high
    assert slope.estimate == pytest.approx(10, abs=10)
    assert slope.low < 1e6


@pytest.mark.parametrize("where", range(1, 8))
def test_interval_of_a_single_step_includes_zero(where: int) -> None:
    """A heap that grew once may be flat."""
    assert theil_sen([0.0] * where + [1e6] * (8 - where)).low == 0.0


def test_slope_needs_five_values() -> None:
    with pytest.raises(ValueError, match="five"):
        theil_sen([1.0, 2.0, 3.0, 4.0])


#: Measured growth in KiB per block of 20 connections, after a warm-up of 160: gunicorn with 16 threads and the arenas
#: of glibc. The first three services keep 64 clients, the last keeps all clients.
BOUNDED = (
    "100 56 16 248 72 52 68 52 52 88 40 20 28 80 20 16 0 0 20 24 52 4 4 8 8 0 16 8 4 4 4 0",
    "96 108 104 28 20 12 0 8 12 228 120 84 116 36 16 4 0 20 8 4 16 20 28 28 16 0 12 4 4 12",
    "120 120 32 56 76 36 12 44 20 4 48 44 64 8 8 52 260 56 64 56 4 40 20 4 8 0 8 8 28 28 0 0 0 12 40 4 4 0",
)
UNBOUNDED = "376 380 344 344 328 412 312 600 356 336 356 352 356 360 320 356 352 328 368 368 316 324"
THRESHOLD = 2048


def verdicts(growths: Sequence[float]) -> list[str]:
    """Return the verdict after each stretch of readings, up to the first that decides."""
    readings = list(itertools.accumulate(1024 * grown for grown in growths))
    found = []
    for end in range(STRETCH, len(readings) + 1, STRETCH):
        course = GrowthCurve(20, readings[:end])
        is_flat, is_steady = course.is_flat(THRESHOLD), course.is_steady(THRESHOLD)
        assert not (is_flat and is_steady)
        found.append("flat" if is_flat else "steady" if is_steady else "unclear")
        if found[-1] != "unclear":
            break
    return found


class TestAGrowthCurve:
    @pytest.mark.parametrize("since", range(8))
    @pytest.mark.parametrize("growths", BOUNDED, ids=["falling", "one heap more", "one heap late"])
    def test_a_growth_curve_bounded_cache_in_many_heaps_is_flat(self, growths: str, since: int) -> None:
        found = verdicts([float(grown) for grown in growths.split()][since:])
        assert found[-1] == "flat"

    def test_a_growth_curve_leak_is_steady_after_two_stretches(self) -> None:
        assert verdicts([float(grown) for grown in UNBOUNDED.split()]) == ["unclear", "steady"]

    @pytest.mark.parametrize("scale", [200, 2_000, 20_000])
    def test_a_growth_curve_growth_that_slows_down_is_not_steady(self, scale: float) -> None:
        """Growth falls as 1 / n, the slowest way to fill a cache."""
        assert "steady" not in verdicts([scale / number for number in range(8, 8 + 6 * STRETCH)])

    def test_a_growth_curve_heap_that_fills_beside_a_leak_delays_the_verdict(self) -> None:
        found = verdicts([80 + 400 * math.exp(-number / 3) for number in range(6 * STRETCH)])
        assert (found[1], found[-1]) == ("unclear", "steady")

    @pytest.mark.parametrize("where", range(STRETCH))
    def test_a_growth_curve_heap_that_grew_once_is_flat(self, where: int) -> None:
        growths = [0.0] * (2 * STRETCH)
        growths[where] = 5_000
        assert verdicts(growths)[-1] == "flat"

    def test_a_growth_curve_text_states_both_halves(self) -> None:
        line = [100.0 * number for number in range(2 * STRETCH)]
        assert str(GrowthCurve(10, line[:STRETCH])) == "10 bytes (95 % interval 10 to 10) for each of 80"
        assert "for each of the later 80, 10 for each of the earlier 80" in str(GrowthCurve(10, line))

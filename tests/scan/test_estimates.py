"""Numbers that somebody else worked out, and what is never said."""

from __future__ import annotations

import pytest

from securecore.scan.estimates import never_seen, rounds_said, theil_sen, wilson


def test_wilson_is_that_of_the_textbooks() -> None:
    # Agresti and Coull (1998), table 1: 0 of 10 and 5 of 10.
    assert wilson(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-3)
    assert wilson(5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-3)
    assert wilson(0, 0) == (0.0, 1.0)


def test_nothing_in_a_hundred_is_about_three_in_a_hundred() -> None:
    assert never_seen(100) == pytest.approx(0.0295, abs=1e-3)
    assert never_seen(0) == 1.0


def test_not_observed_is_never_called_safe() -> None:
    assert rounds_said(0, 3) == "not observed in 3 rounds: at 95 % confidence it happens in at most 63%"
    assert rounds_said(1, 2) == "observed in 1 of 2 rounds (95 % interval 9% to 91%)"


def test_a_slope_is_exact_on_a_line() -> None:
    slope = theil_sen([100.0, 110.0, 120.0, 130.0, 140.0, 150.0])
    assert (slope.low, slope.estimate, slope.high) == (10.0, 10.0, 10.0)


@pytest.mark.parametrize("where", range(8))
def test_one_wild_block_moves_no_slope(where: int) -> None:
    blocks = [float(10 * number) for number in range(8)]
    blocks[where] = 1e9
    slope = theil_sen(blocks)
    assert slope.low <= 10 <= slope.high
    assert slope.estimate == pytest.approx(10, abs=10)
    assert slope.low < 1e6


@pytest.mark.parametrize("where", range(1, 8))
def test_one_step_is_no_slope(where: int) -> None:
    """A heap that grew once: the lower end says that it may well be flat."""
    assert theil_sen([0.0] * where + [1e6] * (8 - where)).low == 0.0


def test_too_few_blocks_are_no_slope() -> None:
    with pytest.raises(ValueError, match="five"):
        theil_sen([1.0, 2.0, 3.0, 4.0])

"""Confidence intervals for counts, against published numbers."""

from __future__ import annotations

import pytest

from securecore_scan.rates import rate_text, upper_bound, wilson_interval


def test_wilson_interval_matches_published_values() -> None:
    # Agresti and Coull (1998), table 1: 0 of 10 and 5 of 10.
    assert wilson_interval(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-3)
    assert wilson_interval(5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-3)
    assert wilson_interval(0, 0) == (0.0, 1.0)


def test_upper_bound_after_no_hit_in_100_rounds_is_about_3_percent() -> None:
    assert upper_bound(100) == pytest.approx(0.0295, abs=1e-3)
    assert upper_bound(0) == 1.0


def test_text_for_zero_hits_states_the_upper_bound() -> None:
    assert rate_text(0, 3) == "not observed in 3 rounds: at 95 % confidence it happens in at most 63%"
    assert rate_text(1, 2) == "observed in 1 of 2 rounds (95 % interval 9% to 91%)"

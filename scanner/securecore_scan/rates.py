"""Confidence intervals for counts. Example: 0 hits in 3 rounds bound the probability at 63 %, and prove no safety."""

from __future__ import annotations

import math

#: The normal quantile of a two-sided 95 % interval.
Z95 = 1.959964


def wilson_interval(hits: int, rounds: int) -> tuple[float, float]:
    """Return the 95 % interval of a probability after ``hits`` in ``rounds`` (Wilson 1927)."""
    if rounds == 0:
        return 0.0, 1.0
    rate, square = hits / rounds, Z95 * Z95
    middle = rate + square / (2 * rounds)
    reach = Z95 * math.sqrt(rate * (1 - rate) / rounds + square / (4 * rounds * rounds))
    scale = 1 + square / rounds
    return max(0.0, (middle - reach) / scale), min(1.0, (middle + reach) / scale)


def upper_bound(rounds: int) -> float:
    """Return the largest probability, at 95 %, of an event that did not happen in ``rounds``: about 3 / rounds."""
    return 1.0 if rounds == 0 else 1 - 0.05 ** (1 / rounds)


def rate_text(hits: int, rounds: int) -> str:
    """Describe a count with its interval. The text for zero hits never says "never"."""
    if hits == 0:
        return f"not observed in {rounds} rounds: at 95 % confidence it happens in at most {upper_bound(rounds):.0%}"
    low, high = wilson_interval(hits, rounds)
    return f"observed in {hits} of {rounds} rounds (95 % interval {low:.0%} to {high:.0%})"

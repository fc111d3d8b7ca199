"""What rounds and slopes say, and what they do not."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

#: The normal quantile of a two-sided 95 % interval.
_Z = 1.959964


def wilson(hits: int, rounds: int) -> tuple[float, float]:
    """Return the 95 % interval of a probability that was met ``hits`` times in ``rounds`` (Wilson 1927)."""
    if rounds == 0:
        return 0.0, 1.0
    rate, square = hits / rounds, _Z * _Z
    middle = rate + square / (2 * rounds)
    reach = _Z * math.sqrt(rate * (1 - rate) / rounds + square / (4 * rounds * rounds))
    scale = 1 + square / rounds
    return max(0.0, (middle - reach) / scale), min(1.0, (middle + reach) / scale)


def never_seen(rounds: int) -> float:
    """Return the largest probability, at 95 %, of what did not happen in ``rounds``: about three in ``rounds``."""
    return 1.0 if rounds == 0 else 1 - 0.05 ** (1 / rounds)


def rounds_said(hits: int, rounds: int, what: str = "rounds") -> str:
    """Describe a count with its interval. Zero of some is never "never"."""
    if hits == 0:
        return f"not observed in {rounds} {what}: at 95 % confidence it happens in at most {never_seen(rounds):.0%}"
    low, high = wilson(hits, rounds)
    return f"observed in {hits} of {rounds} {what} (95 % interval {low:.0%} to {high:.0%})"


@dataclass(frozen=True)
class Slope:
    """A growth for each step, with its 95 % interval."""

    estimate: float
    low: float
    high: float


def theil_sen(values: Sequence[float]) -> Slope:
    """Return the median of all pairwise slopes of equally spaced ``values``, of which there must be at least five.

    Up to 29 % of the values may be anything. The interval is Sen's (1968): the ranks that Kendall's statistic leaves.
    """
    if len(values) < 5:
        raise ValueError("a slope needs at least five blocks")
    pairs = itertools.combinations(enumerate(values), 2)
    slopes = sorted((later - earlier) / (j - i) for (i, earlier), (j, later) in pairs)
    count, pairs_count = len(values), len(slopes)
    reach = _Z * math.sqrt(count * (count - 1) * (2 * count + 5) / 18)
    first = max(0, round((pairs_count - reach) / 2))
    last = min(pairs_count - 1, round((pairs_count + reach) / 2))
    return Slope(statistics.median(slopes), slopes[first], slopes[last])

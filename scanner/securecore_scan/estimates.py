"""What rounds and slopes say, and what they do not."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

#: The normal quantile of a two-sided 95 % interval.
_Z = 1.959964
#: Readings from which on a slope is judged.
STRETCH = 8
#: What is steady keeps so much of its earlier slope, and grows in so many of its blocks.
STEADY = 0.85

# Note [Later and earlier]
#
# What is filled once grows less and less: a cache up to its bound, a heap with its holes, glibc's arenas (one for each
# thread, each to its own high-water mark, which 16 threads reach late: growth over the course n falls about as 1 / n,
# so the later half has at most 0.6 of the earlier half's slope). What is kept for ever grows by the same amount each
# time. So it is a leak if the later half of a course grows, by the lower end of its interval, and as the earlier half
# did, and in nearly every block: a heap that a thread opens late is a few large blocks among many small ones. It is
# none if the upper end is below the threshold. Else more readings decide, and make the later half longer. A cache whose
# bound is beyond the course looks like a leak.
#
# 10 caches with a bound, in 16 threads, each begun at 18 places: 7 of 180 courses were called a leak by the later slope
# against the earlier one alone, 0 with the blocks; with entries of twice the size 14 if three blocks in four were
# enough, and 0 as it is.


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


@dataclass
class Course:
    """Readings, each after so many ``steps`` of which none should leave anything behind. Slopes are for each step.

    See Note [Later and earlier]. Needs a ``STRETCH`` of readings before it says anything.
    """

    steps: int
    readings: list[float] = field(default_factory=list)

    @property
    def later(self) -> Slope:
        """The slope of the later half, or of the last stretch while that is longer."""
        return self._slope(self.readings[-max(STRETCH, len(self.readings) // 2) :])

    @property
    def earlier(self) -> Slope | None:
        """The slope of the earlier half, None before there are two stretches."""
        half = len(self.readings) // 2
        return self._slope(self.readings[:half]) if half >= STRETCH else None

    def is_flat(self, threshold: float) -> bool:
        """Say whether it surely grows by no more than ``threshold``."""
        return self.later.high <= threshold

    def is_steady(self, threshold: float) -> bool:
        """Say whether it surely grows by more than ``threshold``, not less than it did, and not by leaps."""
        if self.earlier is None:
            return False
        half = self.readings[-len(self.readings) // 2 - 1 :]
        grown = [after - before > threshold * self.steps for before, after in itertools.pairwise(half)]
        is_often = sum(grown) >= STEADY * len(grown)
        return is_often and self.later.low > max(threshold, STEADY * self.earlier.estimate)

    def __str__(self) -> str:
        later, earlier, steps = self.later, self.earlier, self.steps * len(self.readings)
        grown = f"{later.estimate:.0f} bytes (95 % interval {later.low:.0f} to {later.high:.0f}) for each of"
        if earlier is None:
            return f"{grown} {steps}"
        return f"{grown} the later {steps // 2}, {earlier.estimate:.0f} for each of the earlier {steps // 2}"

    def _slope(self, readings: Sequence[float]) -> Slope:
        slope = theil_sen(readings)
        return Slope(slope.estimate / self.steps, slope.low / self.steps, slope.high / self.steps)

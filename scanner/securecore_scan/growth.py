"""Tells a memory leak from a cache that fills up, by the growth between readings.

See Note [Later and earlier half].
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from securecore_scan.rates import Z95

#: A slope is judged after each 8 readings.
STRETCH = 8
#: In steady growth the later half keeps 85 % of the earlier slope, and 85 % of its blocks grow.
STEADY = 0.85

# Note [Later and earlier half]
#
# A leak adds the same amount for each connection, without end. Memory that fills up adds less and less. Examples are a
# bounded cache, and the arenas of glibc: each thread has one, and each grows to a high-water mark of its own. Sixteen
# threads reach their marks late. Growth over n connections then falls about as 1 / n, so the later half of the readings
# has at most 0.6 of the earlier half's slope.
#
# FAIL therefore needs three observations: the later half grows, by the lower end of its interval; it grows as fast as
# the earlier half; and nearly every block of it grows, because a heap that a thread opens late appears as a few large
# blocks among many small ones. PASS needs the upper end of the interval below the threshold. Otherwise more readings
# are taken, and both halves become longer. A cache with a bound beyond the last reading looks like a leak.
#
# Measured with 10 bounded caches, 16 threads and 18 starting points each: by the two slopes alone, 7 of 180 series were
# called a leak; with the condition on blocks, 0. With entries of twice the size, 14 were called a leak if three
# quarters of the blocks sufficed, and 0 with 85 %.


@dataclass(frozen=True)
class Slope:
    """Growth per step, with its 95 % interval."""

    estimate: float
    low: float
    high: float


def theil_sen(values: Sequence[float]) -> Slope:
    """Return the median of all pairwise slopes of equally spaced ``values``. Needs at least five values.

    The median ignores up to 29 % outliers. The interval is that of Sen (1968), from the ranks of Kendall's statistic.
    """
    if len(values) < 5:
        raise ValueError("a slope needs at least five values")
    pairs = itertools.combinations(enumerate(values), 2)
    slopes = sorted((later - earlier) / (j - i) for (i, earlier), (j, later) in pairs)
    count, pairs_count = len(values), len(slopes)
    reach = Z95 * math.sqrt(count * (count - 1) * (2 * count + 5) / 18)
    first = max(0, round((pairs_count - reach) / 2))
    last = min(pairs_count - 1, round((pairs_count + reach) / 2))
    return Slope(statistics.median(slopes), slopes[first], slopes[last])


@dataclass
class GrowthCurve:
    """Memory readings in bytes, one after each ``steps`` connections. Slopes are in bytes per connection.

    See Note [Later and earlier half]. Needs ``STRETCH`` readings before the first question.
    """

    steps: int
    readings: list[float] = field(default_factory=list)

    @property
    def later(self) -> Slope:
        """The slope of the later half, or of the last ``STRETCH`` readings if they are more than half."""
        return self._slope(self.readings[-max(STRETCH, len(self.readings) // 2) :])

    @property
    def earlier(self) -> Slope | None:
        """The slope of the earlier half, or None before there are two stretches."""
        half = len(self.readings) // 2
        return self._slope(self.readings[:half]) if half >= STRETCH else None

    def is_flat(self, threshold: float) -> bool:
        """Say whether memory grows by at most ``threshold``, at 95 % confidence."""
        return self.later.high <= threshold

    def is_steady(self, threshold: float) -> bool:
        """Say whether memory grows by more than ``threshold``, does not slow down, and does not grow in leaps."""
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

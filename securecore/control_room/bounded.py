"""Counts and lists that read a bounded number of rows (Note [Bounded]), and their texts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet

#: The most rows that a list shows.
SHOWN = 10
#: The most rows that a count reads.
COUNTED = 1_000


@dataclass(frozen=True, slots=True)
class Count:
    """A number of rows, or the bound that they exceed."""

    number: int
    exceeds: bool = False

    @classmethod
    def of(cls, number: int, *, bound: int) -> Count:
        """Return the count of ``number`` rows, of which a statement read at most one more than ``bound``."""
        return cls(min(number, bound), number > bound)

    def __str__(self) -> str:
        return f"more than {self.number:,}" if self.exceeds else f"{self.number:,}"

    def __bool__(self) -> bool:
        return self.number > 0


@dataclass(frozen=True, slots=True)
class Listing:
    """The first rows of a query, and the number of all."""

    rows: list[Any]
    count: Count

    @property
    def is_cut(self) -> bool:
        return self.count.exceeds or self.count.number > len(self.rows)


def listing(rows: QuerySet[Any]) -> Listing:
    """Return the first ``SHOWN`` of ``rows``, and count them. Needs an index in the order of ``rows``."""
    shown = list(rows[:SHOWN])
    number = len(shown) if len(shown) < SHOWN else rows[: COUNTED + 1].count()
    return Listing(shown, Count.of(number, bound=COUNTED))


def lasting(seconds: float) -> str:
    """Return a duration as an operator reads it: ``0.4 s``, ``12 min``, ``31 h``, ``12 days``."""
    for unit, length, upto in (("s", 1, 120), ("min", 60, 7_200), ("h", 3_600, 172_800)):
        if seconds < upto:
            return f"{seconds / length:.{1 if length == 1 and seconds < 10 else 0}f} {unit}"
    return f"{seconds / 86_400:,.0f} days"

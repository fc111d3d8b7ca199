"""Refusals, and requests that observe mode let pass, by code and reason over the last hour, day and week."""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from securecore.audit.refusals import HOUR, MINUTE, totals_since
from securecore.control_room.bounded import Count
from securecore.errors import every_refusal
from securecore.observe import OBSERVED

#: The most totals that one statement reads: a week of 100 pairs of code and reason.
MOST_TOTALS = 20_000
#: The pairs that the table shows.
SHOWN = 20


@dataclass(frozen=True, slots=True)
class Span:
    """A time that ends now. Totals of ``seconds`` are summed in buckets, which become the bars of a chart."""

    name: str
    seconds: int
    buckets: int
    totals_per_bucket: int
    bucket_name: str

    def begins(self, now: dt.datetime) -> dt.datetime:
        """Return the beginning of the first bucket, so that the last one contains ``now``."""
        whole = now.replace(minute=now.minute if self.seconds == MINUTE else 0, second=0, microsecond=0)
        return whole - dt.timedelta(seconds=self.seconds * (self.buckets * self.totals_per_bucket - 1))


SPANS = (
    Span("hour", MINUTE, 60, 1, "minute"),
    Span("day", HOUR, 24, 1, "hour"),
    Span("week", HOUR, 28, 6, "six hours"),
)


@dataclass(slots=True)
class Pair:
    """A code and a reason with the numbers of the three spans."""

    code: str
    reason: str
    status: int | None
    hour: int = 0
    day: int = 0
    week: int = 0

    @property
    def numbers(self) -> list[Count]:
        return [Count(self.hour), Count(self.day), Count(self.week)]


@dataclass(slots=True)
class Series:
    """The numbers of one span by code, for each bucket from the first to the last."""

    span: Span
    begins: dt.datetime
    codes: dict[str, list[int]] = field(default_factory=dict)

    @property
    def totals(self) -> list[int]:
        return [sum(numbers) for numbers in zip(*self.codes.values(), strict=True)] or [0] * self.span.buckets

    def begin_of(self, bucket: int) -> dt.datetime:
        return self.begins + dt.timedelta(seconds=self.span.seconds * self.span.totals_per_bucket * bucket)


@dataclass(frozen=True, slots=True)
class Refusals:
    """The pairs and the series, of refused requests or of requests that passed. ``is_cut``: totals were left out."""

    pairs: list[Pair]
    series: dict[str, Series]
    is_cut: bool

    @property
    def shown(self) -> list[Pair]:
        return self.pairs[:SHOWN]

    @property
    def hidden(self) -> int:
        return max(0, len(self.pairs) - SHOWN)

    def total(self, span: str) -> int:
        return sum(getattr(pair, span) for pair in self.pairs)


def read_refusals(now: dt.datetime) -> tuple[Refusals, Refusals]:
    """Return the refusals of the last week, and the requests of that time that observe mode let pass.

    The counts of the last minute are missing: each process writes them once a minute.
    """
    refused, observed = _Sum(now), _Sum(now)
    for span in SPANS:
        totals = totals_since(span.begins(now), seconds=span.seconds, limit=MOST_TOTALS + 1)
        for begins, code, reason, count in totals[:MOST_TOTALS]:
            added_to = observed if code.startswith(OBSERVED) else refused
            added_to.add(span, begins, code.removeprefix(OBSERVED), reason, count)
        if len(totals) > MOST_TOTALS:
            refused.is_cut = observed.is_cut = True
    return refused.result(), observed.result()


class _Sum:
    def __init__(self, now: dt.datetime) -> None:
        self.is_cut = False
        self._series = {span.name: Series(span, span.begins(now)) for span in SPANS}
        self._pairs = defaultdict[tuple[str, str], Counter[str]](Counter)

    def add(self, span: Span, begins: dt.datetime, code: str, reason: str, count: int) -> None:
        series = self._series[span.name]
        place = int((begins - series.begins).total_seconds()) // (span.seconds * span.totals_per_bucket)
        if place < span.buckets:  # the clock of another host may be ahead
            series.codes.setdefault(code, [0] * span.buckets)[place] += count
            self._pairs[code, reason][span.name] += count

    def result(self) -> Refusals:
        status = {refusal.code: refusal.status for refusal in every_refusal()}
        pairs = [
            Pair(code, reason, status.get(code), numbers["hour"], numbers["day"], numbers["week"])
            for (code, reason), numbers in self._pairs.items()
        ]
        pairs.sort(key=lambda pair: (-pair.hour, -pair.day, -pair.week, pair.code, pair.reason))
        return Refusals(pairs, self._series, self.is_cut)

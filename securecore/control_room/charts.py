"""Draw a series as bars: an inline SVG without script, style or link, so that no Content-Security-Policy refuses it.

The classes of the style sheet color the bars. The numbers stand in a table beside the chart, and in its description.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from securecore.control_room.bounded import Count
from securecore.control_room.refusals import Refusals, Series

#: The number of codes with a color of their own; the others share one. More colors are hard to tell apart.
COLORS = 3
#: The name of the color of the other codes.
OTHERS = "other codes"
_WIDTH, _GAP, _HEIGHT = 10, 2, 100
#: The lowest bar that can be seen.
_LOWEST = 2.0


@dataclass(frozen=True, slots=True)
class Chart:
    """One series, drawn. ``rows`` are the buckets with their numbers in the order of ``names``, the last one first."""

    name: str
    bucket_name: str
    svg: SafeString
    total: Count
    highest: Count
    begins: str
    ends: str
    names: list[str]
    rows: list[tuple[str, list[Count]]]


def colored_codes(refusals: Refusals) -> list[str]:
    """Return the codes that get a color: those with the most refusals of the last hour, then of the week."""
    by_code = Counter[str]()
    for pair in refusals.pairs:
        by_code[pair.code] += pair.hour * 10_000_000 + pair.week
    return [code for code, _ in by_code.most_common(COLORS)]


def charts_of(refusals: Refusals) -> list[Chart]:
    """Return a chart for the hour, the day and the week, all with the same colors."""
    colored = colored_codes(refusals)
    return [_chart(series, colored) for series in refusals.series.values()]


def _chart(series: Series, colored: Sequence[str]) -> Chart:
    names, columns = _columns(series, colored)
    totals = series.totals
    highest = max(totals)
    buckets = [_label(series, place) for place in range(series.span.buckets)]
    described = f"Refusals in each {series.span.bucket_name} of the last {series.span.name}: {sum(totals):,} in all"
    if highest:
        described += f", at most {highest:,}, at {buckets[totals.index(highest)]}"
    return Chart(
        name=series.span.name,
        bucket_name=series.span.bucket_name,
        svg=_svg(described, buckets, columns, names, highest),
        total=Count(sum(totals)),
        highest=Count(highest),
        begins=buckets[0],
        ends=buckets[-1],
        names=names,
        rows=[
            (label, [*map(Count, numbers)])
            for label, numbers in reversed([*zip(buckets, columns, strict=True)])
            if any(numbers)
        ],
    )


def _columns(series: Series, colored: Sequence[str]) -> tuple[list[str], list[list[int]]]:
    """Return the names of the parts of a bar, and the numbers of each bar."""
    empty = [0] * series.span.buckets
    parts = [series.codes.get(code, empty) for code in colored]
    others = [series.codes[code] for code in series.codes if code not in colored]
    parts.append([sum(numbers) for numbers in zip(*others, strict=True)] if others else empty)
    return [*colored, OTHERS], [list(numbers) for numbers in zip(*parts, strict=True)]


def _svg(
    described: str, buckets: Sequence[str], columns: Sequence[Sequence[int]], names: Sequence[str], highest: int
) -> SafeString:
    bars = format_html_join(
        "\n", '<rect class="part-{}" x="{}" y="{}" width="{}" height="{}"><title>{}: {} {}</title></rect>',
        _parts(buckets, columns, names, highest),
    )  # fmt: skip
    return format_html(
        '<svg role="img" aria-label="{}" viewBox="0 0 {} {}" preserveAspectRatio="none">{}</svg>',
        described, _WIDTH * len(columns), _HEIGHT, bars,
    )  # fmt: skip


def _parts(
    buckets: Sequence[str], columns: Sequence[Sequence[int]], names: Sequence[str], highest: int
) -> Iterable[tuple[object, ...]]:
    for place, (label, numbers) in enumerate(zip(buckets, columns, strict=True)):
        yield from _bar(place, label, [*zip(names, numbers, strict=True)], highest)


def _bar(place: int, label: str, numbers: Sequence[tuple[str, int]], highest: int) -> Iterator[tuple[object, ...]]:
    bottom = float(_HEIGHT)
    for part, (name, number) in enumerate(numbers):
        if number:
            height = max(_LOWEST, number / highest * _HEIGHT)
            bottom = max(0.0, bottom - height)
            yield part, place * _WIDTH, f"{bottom:.1f}", _WIDTH - _GAP, f"{height:.1f}", label, f"{number:,}", name


def _label(series: Series, place: int) -> str:
    begins = timezone.localtime(series.begin_of(place))
    return f"{begins:%H:%M}" if series.span.name == "hour" else f"{begins:%a %d %H:%M}"

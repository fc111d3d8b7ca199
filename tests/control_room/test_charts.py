"""Charts: an SVG that says the same as the table beside it."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from xml.etree import ElementTree

import pytest
from django.utils import timezone

from securecore.control_room.charts import OTHERS, charts_of
from securecore.control_room.refusals import SPANS, Pair, Refusals, Series

NOW = dt.datetime(2026, 11, 28, 3, 14, 7, tzinfo=dt.UTC)


@pytest.fixture(autouse=True)
def _in_utc() -> Iterator[None]:
    with timezone.override("UTC"):
        yield


def refusals(**codes: int) -> Refusals:
    """Refusals of the last minute."""
    series = {span.name: Series(span, span.begins(NOW)) for span in SPANS}
    for each in series.values():
        each.codes = {code: [0] * (each.span.buckets - 1) + [number] for code, number in codes.items()}
    return Refusals([Pair(code, "", 401, n, n, n) for code, n in codes.items()], series, False)


def bars(svg: str) -> list[tuple[str, float, float, str]]:
    """Return class, top, height and title of each bar. Fails for markup that is no XML."""
    root = ElementTree.fromstring(svg)
    return [
        (bar.attrib["class"], float(bar.attrib["y"]), float(bar.attrib["height"]), str(bar[0].text))
        for bar in root.iter("rect")
    ]


def test_bar_is_stacked_from_the_colored_codes_and_the_others() -> None:
    hour = charts_of(refusals(a=50, b=30, c=10, d=6, e=4))[0]
    assert hour.names == ["a", "b", "c", OTHERS]
    drawn = bars(hour.svg)
    assert [(part, height, title) for part, _, height, title in drawn] == [
        ("part-0", 50.0, "03:14: 50 a"),
        ("part-1", 30.0, "03:14: 30 b"),
        ("part-2", 10.0, "03:14: 10 c"),
        ("part-3", 10.0, f"03:14: 10 {OTHERS}"),
    ]
    assert [top for _, top, _, _ in drawn] == [50.0, 20.0, 10.0, 0.0]
    assert [(label, [count.number for count in numbers]) for label, numbers in hour.rows] == [
        ("03:14", [50, 30, 10, 10])
    ]


def test_colors_belong_to_codes_in_every_chart() -> None:
    assert {tuple(chart.names) for chart in charts_of(refusals(a=1, b=2))} == {("b", "a", OTHERS)}


def test_description_has_the_sum_and_the_highest_bar() -> None:
    hour, day, week = charts_of(refusals(a=1_234))
    assert 'aria-label="Refusals in each minute of the last hour: 1,234 in all, at most 1,234, at 03:14"' in hour.svg
    assert "each hour of the last day" in day.svg
    assert "each six hours of the last week" in week.svg


def test_rare_refusal_is_seen_beside_a_wave() -> None:
    [_, rare] = bars(charts_of(refusals(a=1_000_000, b=1))[0].svg)
    assert rare[2] >= 2


def test_nothing_is_an_empty_chart() -> None:
    for chart in charts_of(refusals()):
        assert bars(chart.svg) == []
        assert re.search('0 in all"', chart.svg)
        assert chart.rows == []


def test_code_is_escaped() -> None:
    [bar] = bars(charts_of(refusals(**{'"><script>': 1}))[0].svg)
    assert bar[3] == '03:14: 1 "><script>'

"""The judgement of a soak: a leak is found, and a step of the allocator is none."""

from __future__ import annotations

import random
from xml.etree import ElementTree

import pytest

from tools.soak.memory import FILLED, LIMIT, NOISE, Sample, chart, limit, slope

#: A million requests.
REQUESTS = range(0, 1_000_001, 10_000)


def samples(leak: float, *, noise: float = 0.3) -> list[Sample]:
    """Return a run with 20 MiB of warm-up, ``leak`` MiB for each million requests, and a noise of the allocator."""
    chance = random.Random(7)
    return [
        Sample(n, 100 + 20 * min(1, n / 200_000) + leak * n / 1e6 + chance.uniform(-noise, noise)) for n in REQUESTS
    ]


@pytest.mark.parametrize("leak", [0.0, 10.0, 200.0])
def test_slope_is_the_leak_without_the_warm_up(leak: float) -> None:
    assert slope(samples(leak)) == pytest.approx(leak, abs=0.5)


def test_one_step_of_the_allocator_is_no_leak() -> None:
    steps = [Sample(each.requests, each.mebibytes + 4 * (each.requests > 900_000)) for each in samples(0)]
    assert slope(steps) < LIMIT


def test_a_leak_of_three_mebibytes_is_found() -> None:
    assert slope(samples(3)) > LIMIT


def test_a_short_run_is_judged_by_the_noise_of_an_allocator() -> None:
    run = [Sample(each, 100.0) for each in range(0, FILLED + 100_001, 5_000)]
    assert limit(samples(0)) == LIMIT
    assert limit(run) == NOISE * 1e6 / 80_000


def test_caches_that_fill_are_the_warm_up_of_a_short_run() -> None:
    filling = [Sample(each, 100 + min(each, FILLED) / 1_000) for each in range(0, 4 * FILLED, 500)]
    assert slope(filling) == 0


def test_chart_is_an_image_with_a_line_for_each_service() -> None:
    drawn = ElementTree.fromstring(chart("Memory <of> two", {"ours": samples(0), "the twin": samples(200)}))
    lines = [each for each in drawn.iter() if each.tag.endswith("polyline")]
    assert [len(line.attrib["points"].split()) for line in lines] == [len(REQUESTS)] * 2
    assert {"ours", "the twin"} < {each.text for each in drawn.iter()}

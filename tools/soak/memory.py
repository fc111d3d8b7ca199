"""Sample the memory of processes, judge its slope, and draw both."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

import psutil

#: MiB for each million requests, after the warm-up.
LIMIT = 2.0
#: Requests in which the caches of each worker fill: 1,024 certificates (``securecore.caches.SIZE``) with ten requests
#: each, and the last of them in both workers.
FILLED = 15_000
#: The share of a long run in which worker threads begin and the allocator settles.
WARM_UP = 0.3
#: Fewer requests say nothing about a slope.
JUDGED = 2 * FILLED
#: MiB by which the memory of flat workers varies. A short run cannot tell less, so it gets a coarser limit.
NOISE = 1.0


@dataclass(frozen=True)
class Sample:
    """The memory of a service's workers after a number of requests, in MiB."""

    requests: int
    mebibytes: float


def used(workers: Sequence[psutil.Process]) -> float:
    """Return the MiB that belong to these processes alone (USS), so that shared pages do not count twice."""
    return sum(worker.memory_full_info().uss for worker in workers) / 2**20


def slope(samples: Sequence[Sample]) -> float:
    """Return the MiB for each million requests behind the warm-up: the median of the slopes of all pairs (Theil-Sen).

    A median ignores the steps by which an allocator takes memory, as long as they are few.
    """
    later = _behind_warm_up(samples)
    slopes = [
        (b.mebibytes - a.mebibytes) / (b.requests - a.requests) * 1e6
        for number, a in enumerate(later)
        for b in later[number + 1 :]
        if b.requests > a.requests
    ]
    return statistics.median(slopes) if slopes else 0.0


def limit(samples: Sequence[Sample]) -> float:
    """Return the slope that is allowed: ``LIMIT``, or in a short run that of ``NOISE`` MiB over all judged requests."""
    later = _behind_warm_up(samples)
    judged = later[-1].requests - later[0].requests
    return max(LIMIT, NOISE / judged * 1e6) if judged else LIMIT


def _behind_warm_up(samples: Sequence[Sample]) -> list[Sample]:
    last = samples[-1].requests
    return [sample for sample in samples if sample.requests >= min(last, max(FILLED, WARM_UP * last))]


_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM = 760, 340, 64, 44, 40
_COLOURS = ("#0b7a75", "#c2410c")


def chart(title: str, lines: Mapping[str, Sequence[Sample]]) -> str:
    """Return an SVG with a line for each service."""
    most = max(sample.requests for samples in lines.values() for sample in samples)
    high = _top_of_axis(max(sample.mebibytes for samples in lines.values() for sample in samples))
    across, down = _WIDTH - _LEFT - 120, _HEIGHT - _TOP - _BOTTOM

    def point(sample: Sample) -> tuple[float, float]:
        return _LEFT + sample.requests / most * across, _TOP + down - sample.mebibytes / high * down

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" '
        f'font-size="13" role="img" aria-label="{escape(title)}">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" rx="6" fill="#ffffff"/>',
        f'<text x="16" y="27" font-size="15" font-weight="bold" fill="#1f2933">{escape(title)}</text>',
    ]
    for share in (0, 0.25, 0.5, 0.75, 1):
        x, y = _LEFT + share * across, _TOP + down - share * down
        parts += [
            f'<line x1="{_LEFT}" y1="{y:.0f}" x2="{_LEFT + across}" y2="{y:.0f}" stroke="#e4e7eb"/>',
            f'<text x="{_LEFT - 8}" y="{y + 4:.0f}" text-anchor="end" fill="#52606d">{share * high:,.0f}</text>',
            f'<text x="{x:.0f}" y="{_TOP + down + 20}" text-anchor="middle" fill="#52606d">{share * most:,.0f}</text>',
        ]
    for (name, samples), colour in zip(lines.items(), _COLOURS, strict=False):
        points = [point(sample) for sample in samples]
        drawn = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts += [
            f'<polyline points="{drawn}" fill="none" stroke="{colour}" stroke-width="2"/>',
            f'<text x="{points[-1][0] + 8:.0f}" y="{points[-1][1] + 4:.0f}" fill="{colour}">{escape(name)}</text>',
        ]
    return "\n".join([*parts, "</svg>", ""])


def _top_of_axis(most: float) -> float:
    """Return the smallest end of an axis with four round parts that ``most`` is below, such as 2,000."""
    size = 10.0 ** math.floor(math.log10(max(most, 1)))
    return next(4 * part * size for part in (0.25, 0.5, 1, 2.5) if 4 * part * size > most)

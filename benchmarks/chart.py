"""Draw a bar chart as SVG, in colours that are visible on light and on dark backgrounds."""

from __future__ import annotations

from html import escape

_ROW, _LEFT, _WIDTH, _TOP = 26, 250, 760, 44


def bars(title: str, figures: dict[str, float], *, unit: str, ours: str) -> str:
    """Return the SVG with a bar for each figure, shortest last. Bars with a name that begins with ``ours`` stand
    out.
    """
    longest = max(figures.values())
    height = _TOP + _ROW * len(figures) + 12
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif" '
        f'font-size="13" role="img" aria-label="{escape(title)}">',
        f'<rect width="{_WIDTH}" height="{height}" rx="6" fill="#ffffff"/>',
        f'<text x="16" y="27" font-size="15" font-weight="bold" fill="#1f2933">{escape(title)}</text>',
    ]
    for number, (name, value) in enumerate(sorted(figures.items(), key=lambda each: -each[1])):
        top = _TOP + _ROW * number
        width = max(2, (_WIDTH - _LEFT - 110) * value / longest)
        colour = "#0b7a75" if name.startswith(ours) else "#9aa5b1"
        lines += [
            f'<text x="{_LEFT - 10}" y="{top + 15}" text-anchor="end" fill="#1f2933">{escape(name)}</text>',
            f'<rect x="{_LEFT}" y="{top + 2}" width="{width:.0f}" height="{_ROW - 8}" rx="2" fill="{colour}"/>',
            f'<text x="{_LEFT + width + 8:.0f}" y="{top + 15}" fill="#1f2933">{value:.0f} {unit}</text>',
        ]
    return "\n".join([*lines, "</svg>", ""])

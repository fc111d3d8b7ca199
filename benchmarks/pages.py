"""Put the figures of a program into a page of the manual, between the two comments that mark their place."""

from __future__ import annotations

import re

END = "<!-- end of figures -->"


def refreshed(page: str, title: str, name: str, figures: str) -> str:
    """Return the page with these figures of the program ``name``; a page without their place gets a section."""
    begin = f"<!-- figures: {name} -->"
    place = re.compile(f"{re.escape(begin)}\n.*?{re.escape(END)}\n", re.DOTALL)
    block = f"{begin}\n\n{figures}\n{END}\n"
    if place.search(page):
        return place.sub(lambda _: block, page, count=1)
    return f"{page.rstrip()}\n\n## {title}\n\n{block}"

"""The name of a browser by its User-Agent header, for a cell of a list.

The client chooses the header, so it proves nothing.
"""

from __future__ import annotations

import re

#: The first that matches is the browser: Edge and Opera name Chrome too, and Chrome names Safari.
_BROWSERS = (
    ("Edge", re.compile(r"\bEdg(?:A|iOS)?/(\d{1,4})")),
    ("Opera", re.compile(r"\bOPR/(\d{1,4})")),
    ("Firefox", re.compile(r"\b(?:Firefox|FxiOS)/(\d{1,4})")),
    ("Chrome", re.compile(r"\b(?:Chrome|CriOS)/(\d{1,4})")),
    ("Safari", re.compile(r"\bVersion/(\d{1,4})[\d.]* .*Safari/")),
)
#: The first that matches is the system: Android names Linux too, and an iPhone names Mac OS X.
_SYSTEMS = (
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("Macintosh", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
)
#: Characters of another header that a list shows.
_LONGEST = 60


def device_named(header: str) -> str:
    """Return the browser with its version and the system, or the beginning of a header that names no known pair.

    Example: ``Firefox 140, Linux``. A text that is cut ends with an ellipsis.
    """
    browser = next((f"{name} {found[1]}" for name, each in _BROWSERS if (found := each.search(header))), "")
    system = next((name for word, name in _SYSTEMS if word in header), "")
    if browser and system:
        return f"{browser}, {system}"
    return header if len(header) <= _LONGEST else f"{header[:_LONGEST]}…"

"""Docstrings and cells of tables in the Markdown of the manual."""

from __future__ import annotations

import inspect
import re
from typing import Any

WRITTEN = "<!-- written by python -m tools.reference -->\n"


def paragraph(subject: Any) -> str:
    """Return the first paragraph of a docstring in one line, and an empty text without one of its own."""
    text = vars(subject).get("__doc__") if inspect.isclass(subject) else inspect.getdoc(subject)
    return in_one_line(inspect.cleandoc(text or "").partition("\n\n")[0])


def in_one_line(text: str) -> str:
    """Return ``text`` without line breaks, with the code marks of Markdown."""
    return re.sub(r"``(.*?)``", r"`\1`", " ".join(text.split()))


def row(*cells: str) -> str:
    """Return a row of a table."""
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

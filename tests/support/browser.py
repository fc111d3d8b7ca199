"""A real Chromium, for the pages of the demo and of the scanner."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

BROWSERS = ("chromium", "chromium-headless-shell", "google-chrome", "chrome")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A browser of the machine, without a window. Skips by name where none is on PATH."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is in the extra acceptance")
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"no browser on PATH: one of {', '.join(BROWSERS)}")
    with playwright.sync_playwright() as running:
        launched = running.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield launched
        launched.close()

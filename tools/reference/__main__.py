from __future__ import annotations

import argparse
import os
from pathlib import Path

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
django.setup()

from tools.reference import checks, commands, events, interface, problems  # noqa: E402  # they need the models

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "reference"
PAGES = {module.__name__.rpartition(".")[2]: module.page for module in (checks, commands, events, interface, problems)}


def main() -> int:
    """Write every page, or with --check compare them."""
    parser = argparse.ArgumentParser(description="Write the reference of the manual.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 if a page is out of date")
    is_check = parser.parse_args().check
    stale = [name for name, page in PAGES.items() if not is_current(name, page())]
    if not is_check:
        for name in stale:
            (FOLDER / f"{name}.md").write_text(PAGES[name]())
    return int(is_check and bool(stale))


def is_current(name: str, text: str) -> bool:
    """Return whether the page of this name is ``text``."""
    path = FOLDER / f"{name}.md"
    return path.exists() and path.read_text() == text


if __name__ == "__main__":
    raise SystemExit(main())

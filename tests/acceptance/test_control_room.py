"""The control room in a real browser with a client certificate, while PostgreSQL holds a bad night."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Browser, BrowserContext, Page

from demo_project.guide import CONTROL_ROOM
from demo_project.stack import Stack
from securecore import clock
from securecore.grants.gate.lock_numbers import OWN_KIND
from securecore.installation.certificates import PASSWORD
from tests.support.bad_night import populate
from tests.support.waiting_sessions import waiting_session

#: A folder for the pictures of the manual, which show 100,000 sessions and a million grants.
PICTURES = os.environ.get("SECURECORE_PAGE_PICTURES")
ROWS, GRANTS = (100_000, 1_000_000) if PICTURES else (2_000, 2_000)
TRIALS = () if PICTURES else ("P201", "P301", "P501")


@pytest.fixture(scope="module")
def night(stack: Stack, shell: Callable[..., str]) -> None:
    """The demo's database with the rows of a bad night and the verdicts of a real run of the trials."""
    assert stack.database_url is not None
    shell("securecore_prove", *TRIALS, code=1)  # this PostgreSQL runs without fsync, so P201 is broken
    with psycopg.connect(stack.database_url, autocommit=True) as connection:
        populate(connection.execute, now=clock.now(), rows=ROWS, grants=GRANTS)


@pytest.fixture(scope="module")
def visit(browser: Browser, stack: Stack, night: None) -> Iterator[Callable[..., tuple[Page, list[str]]]]:
    """`visit(width=360)` opens the control room in a browser that carol has logged in from.

    Returns the page, and the messages of its console.
    """
    opened: list[BrowserContext] = []

    def context(**options: Any) -> BrowserContext:
        pair: Any = {"origin": stack.url, "certPath": stack.pki / "carol.pem", "keyPath": stack.pki / "carol.key"}
        opened.append(browser.new_context(client_certificates=[pair], ignore_https_errors=True, **options))
        return opened[-1]

    first = context()
    page = first.new_page()
    page.goto(stack.url + CONTROL_ROOM)
    page.fill("[name=username]", "carol")
    page.fill("[name=password]", PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_selector("#control-room")
    state: Any = first.storage_state()

    def visit(*, width: int = 1280, scheme: Any = "light") -> tuple[Page, list[str]]:
        messages: list[str] = []
        options: dict[str, Any] = {"viewport": {"width": width, "height": 900}, "color_scheme": scheme}
        page = context(storage_state=state, **options).new_page()
        page.on("console", lambda message: messages.append(f"{message.text} {message.location['url']}"))
        page.on("pageerror", lambda error: messages.append(str(error)))
        page.goto(stack.url + CONTROL_ROOM)
        return page, messages

    yield visit
    for each in opened:
        each.close()


def picture(page: Page, name: str) -> None:
    if PICTURES:
        page.screenshot(path=Path(PICTURES) / f"{name}.png", full_page=True)


# The colors depend on the scheme, the layout on the width: two pages show both.
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (360, "dark")])
def test_axe_finds_nothing_and_the_page_fits(
    visit: Callable[..., tuple[Page, list[str]]], stack: Stack, width: int, scheme: str
) -> None:
    lock = f"SELECT pg_advisory_xact_lock({OWN_KIND}, 7)"
    with waiting_session(str(stack.database_url), holds=lock, waits=lock, seconds=1 if PICTURES else 0):
        page, messages = visit(width=width, scheme=scheme)
    picture(page, f"control-room-{width}-{scheme}")
    assert "gate, for a revocation" in page.locator("section:has(#gates)").inner_text()
    page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    # A browser asks each site for an icon.
    assert [each for each in messages if "favicon.ico" not in each] == [], (
        "the Content-Security-Policy refuses inline scripts and styles"
    )
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(255, 255, 255)") == (scheme == "light")


def test_finding_leads_to_its_figures_by_keyboard(visit: Callable[..., tuple[Page, list[str]]]) -> None:
    page, _ = visit()
    link = page.locator(".findings a[href='#lists']").first
    for _ in range(60):
        page.keyboard.press("Tab")
        if link.evaluate("link => link === document.activeElement"):
            break
    page.keyboard.press("Enter")
    assert page.url.endswith("#lists")
    assert page.locator("#lists").is_visible()
    summary = page.locator("summary", has_text="Numbers of the last hour")
    summary.focus()
    page.keyboard.press("Enter")
    assert page.locator("caption", has_text="by minute").is_visible()

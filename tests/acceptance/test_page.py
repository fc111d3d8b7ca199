"""The page of the demo in a real browser with a client certificate: by keyboard, on a phone, in the dark."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Browser, Page

from demo_project.stack import Stack
from demo_project.tour.report import BY_NAME

#: A folder for screenshots, to be inspected by eye.
PICTURES = os.environ.get("SECURECORE_PAGE_PICTURES")


@pytest.fixture
def visit(browser: Browser, stack: Stack) -> Iterator[Callable[..., Page]]:
    """`visit("alice", "/")` opens a page in a browser that has her certificate."""
    contexts = []

    def visit(name: str | None, path: str = "/", *, width: int = 1280, scheme: Any = "light") -> Page:
        pair: Any = {"origin": stack.url, "certPath": stack.pki / f"{name}.pem", "keyPath": stack.pki / f"{name}.key"}
        context = browser.new_context(
            client_certificates=[pair] if name else [],
            ignore_https_errors=True,  # Chromium trusts authorities of the system only
            color_scheme=scheme,
            viewport={"width": width, "height": 900},
        )
        contexts.append(context)
        page = context.new_page()
        page.goto(stack.url + path)
        return page

    yield visit
    for context in contexts:
        context.close()


def picture(page: Page, name: str) -> None:
    if PICTURES:
        page.screenshot(path=Path(PICTURES) / f"{name}.png", full_page=True)


def verdicts(page: Page, attack: str) -> list[str]:
    """Return the verdicts without and with securecore that the page shows for an attack."""
    cells = page.locator(f"#{attack} tbody tr").first.locator("td")
    return [cell.inner_text().split(maxsplit=1)[1] for cell in cells.all()]


def test_attack_by_keyboard_shows_both_outcomes(visit: Callable[..., Page]) -> None:
    page = visit("alice")
    assert "securecore makes a copied request" in page.locator(".lead").inner_text()
    for _ in range(10):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.tagName") == "BUTTON":
            break
    focused = page.locator(":focus")
    assert focused.inner_text().splitlines()[0].startswith("Attack both")
    page.keyboard.press("Enter")
    page.wait_for_selector("#replay table", timeout=60_000)
    assert verdicts(page, "replay") == ["FELL", "held"]
    assert page.title().startswith("Request replay: FELL without, held with securecore")
    assert page.url.endswith("/attacks/replay#replay")
    assert "16 transfers" in page.locator("#replay tbody").inner_text()
    picture(page, "attack")


@pytest.mark.parametrize("attack", ["tokens", "fixation"])
def test_button_of_an_attack(visit: Callable[..., Page], attack: str) -> None:
    page = visit("alice")
    page.locator(f"#{attack} button").click(timeout=60_000)
    page.wait_for_selector(f"#{attack} table", timeout=60_000)
    assert verdicts(page, attack) == ["FELL", "held"]
    assert page.locator(".attack table").count() == 1


@pytest.mark.parametrize(("width", "scheme"), [(360, "dark"), (360, "light"), (1280, "dark"), (1280, "light")])
def test_axe_finds_no_violation(visit: Callable[..., Page], width: int, scheme: str) -> None:
    page = visit("alice", width=width, scheme=scheme)
    if width == 360:
        page.locator("#tokens button").click(timeout=60_000)
        page.wait_for_selector("#tokens table", timeout=60_000)
    found = Axe().run(page)
    picture(page, f"page-{width}-{scheme}")
    assert found.violations_count == 0, found.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def test_fingerprint_is_the_one_of_openssl(visit: Callable[..., Page], stack: Stack) -> None:
    command = ["openssl", "x509", "-noout", "-fingerprint", "-sha256", "-in", str(stack.pki / "alice.pem")]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert printed.strip().partition("=")[2] in visit("alice").inner_text("main")


def test_money_reads_as_money(visit: Callable[..., Page]) -> None:
    page = visit("alice")
    balances = [cell.inner_text() for cell in page.locator("td.money").all()]
    assert balances
    assert all(re.fullmatch(r"-?\d{1,3}(,\d{3})*\.\d\d", balance) for balance in balances)


def test_browser_without_a_certificate_learns_the_way_in(visit: Callable[..., Page]) -> None:
    page = visit(None)
    assert "alice.p12" in page.inner_text("main")
    assert page.locator("button").count() == 0


def test_browser_that_nginx_refuses_gets_a_page(visit: Callable[..., Page], open_client: Callable[..., Any]) -> None:
    page = visit("revoked", width=360, scheme="dark")
    assert page.locator("h1").inner_text() == "This certificate is not accepted"
    assert "revoked, outside its dates, or of another authority" in page.inner_text("main")
    assert Axe().run(page).violations_count == 0
    picture(page, "refused-by-nginx")
    program = open_client("revoked").get("/")
    assert (program.status_code, program.json()["code"]) == (403, "certificate-refused")


def test_browser_that_the_application_refuses_gets_a_page(
    visit: Callable[..., Page], open_client: Callable[..., Any]
) -> None:
    page = visit("alice", "/api/whoami?access_token=x", width=360)
    assert page.locator("h1").inner_text() == "A token in a URL is never accepted; send it in the Authorization header."
    assert "token-in-url" in page.inner_text("main")
    assert Axe().run(page).violations_count == 0
    picture(page, "refused")
    program = open_client("alice").get("/api/whoami?access_token=x")
    assert (program.status_code, program.json()["code"]) == (400, "token-in-url")


def test_attack_needs_a_user_of_the_demo(open_client: Callable[..., Any]) -> None:
    client = open_client()
    client.get("/")
    token = client.get("/").text.partition('name="csrfmiddlewaretoken" value="')[2].partition('"')[0]
    refused = client.post("/attacks/replay", data={"csrfmiddlewaretoken": token}, headers={"Accept": "text/html"})
    assert refused.status_code == 403
    assert open_client("alice").get("/attacks/replay").status_code == 405


def test_every_attack_has_a_button(visit: Callable[..., Page]) -> None:
    assert visit("alice").locator("button").count() == len(BY_NAME) == 5

"""Accessibility of the HTML report, in a real browser with axe."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Browser

from securecore_scan.outcomes import failed
from securecore_scan.probes import CATALOGUE
from tests.scanner.test_reports import MIXED, report, result, written

#: Every category and every verdict.
EVERYTHING = report(
    *MIXED.results,
    *(result(one.id, failed("POST /api/a-long-name/of-a-route", "it worked " * 20)) for one in CATALOGUE),
    stopped="120 seconds are over (--budget)",
)
#: A folder for screenshots, to be inspected by eye.
PICTURES = os.environ.get("SECURECORE_SCAN_PICTURES")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_axe_finds_no_violation(browser: Browser, tmp_path: Path, scheme: Any, width: int) -> None:
    path = tmp_path / "report.html"
    path.write_text(written("html", EVERYTHING))
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 900}, bypass_csp=True)
    page = context.new_page()
    requested: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    page.goto(path.as_uri())
    # axe does not inspect closed details.
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
    found = Axe().run(page)
    if PICTURES:
        page.screenshot(path=Path(PICTURES) / f"report-{scheme}-{width}.png", full_page=True)
    assert found.violations_count == 0, found.generate_report()
    assert found.response["passes"]
    assert requested == [path.as_uri()]
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    context.close()


@pytest.mark.parametrize(("width", "height"), [(1280, 900), (390, 844)], ids=["desktop", "phone"])
def test_page_folds_to_one_screen(browser: Browser, tmp_path: Path, width: int, height: int) -> None:
    path = tmp_path / "report.html"
    path.write_text(written("html", EVERYTHING))
    context = browser.new_context(viewport={"width": width, "height": height})
    page = context.new_page()
    page.goto(path.as_uri())
    if PICTURES:
        page.screenshot(path=Path(PICTURES) / f"folded-{width}.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollHeight") <= height
    # Every finding is one click away.
    page.click("text=/^\\d+ more$/")
    assert page.locator("section[aria-labelledby=first] li").filter(visible=True).count() == len(CATALOGUE)
    context.close()


def test_filter_shows_the_chosen_severities_without_a_script(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(written("html", EVERYTHING))
    context = browser.new_context(java_script_enabled=False, viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.goto(path.as_uri())
    shown = page.locator(".result")
    assert shown.filter(visible=True).count() == 0, "the categories are folded"
    for choice, kinds in (
        ("critical", {"critical"}),
        ("high", {"high", "critical"}),
        ("findings", {"info", "low", "medium", "high", "critical"}),
    ):
        page.check(f"#show-{choice}")
        visible = shown.filter(visible=True)
        classes = [str(one.get_attribute("class")).split() for one in visible.all()]
        assert {"fail"} <= set.intersection(*map(set, classes))
        assert {name.removeprefix("severity-") for one in classes for name in one if "severity-" in name} == kinds
    page.check("#show-undecided")
    undecided = {str(one.get_attribute("class")).split()[1] for one in shown.filter(visible=True).all()}
    assert undecided == {"inconclusive", "skipped", "error"}
    context.close()


def test_link_of_the_first_repair_opens_its_category(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(written("html", EVERYTHING))
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.goto(path.as_uri())
    page.click("text=/^\\d+ more$/")
    page.click("a[href='#check-SC-BOLA-2']")
    assert page.locator("#check-SC-BOLA-2").is_visible()
    context.close()

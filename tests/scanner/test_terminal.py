"""Texts that the service under test chooses cannot control the reader's terminal."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from securecore_scan.outcomes import failed
from securecore_scan.report.terminal import escape_controls
from tests.scanner.conftest import scanned
from tests.scanner.service import Answer, serving
from tests.scanner.test_reports import report, result, written

#: One of each kind, with its escape: cursor up, carriage return, C1 control sequence, right-to-left override,
#: zero-width space, line separator, delete.
ATTACKS = {
    "\x1b[2A": "\\x1b[2A",
    "\r": "\\r",
    "\x9b2A": "\\x9b2A",
    "\u202e": "\\u202e",
    "\u200b": "\\u200b",
    "\u2028": "\\u2028",
    "\x7f": "\\x7f",
}


def unsafe_in(text: str) -> set[str]:
    categories = ("Cc", "Cf", "Zl", "Zp", "Cs")
    return {one for one in text.replace("\n", "") if unicodedata.category(one) in categories}


@pytest.mark.parametrize(("attack", "escaped"), ATTACKS.items(), ids=repr)
@pytest.mark.parametrize("form", ["text", "html"])
def test_controls_are_escaped_in_every_text(form: str, attack: str, escaped: str) -> None:
    outcome = failed(f"GET /{attack}PASS", f"seen {attack}PASS")
    text = written(form, report(result("SC-FIX-4", outcome, f"{attack}PASS"), result("SC-FIX-1", outcome)))
    assert unsafe_in(text) == set()
    assert text.count(f"{escaped}PASS") >= 4


def test_other_characters_stay() -> None:
    assert escape_controls("caf\u00e9 \u4f60\u597d \U0001f600 \\x1b") == "caf\u00e9 \u4f60\u597d \U0001f600 \\x1b"


def test_problem_code_of_the_service_cannot_move_the_cursor(tmp_path: Path) -> None:
    def hostile(method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        return (409, {}, {"code": "\x1b[1A\x1b[2K  PASS"}) if method == "POST" else (404, {}, {})

    plan = tmp_path / "plan.toml"
    plan.write_text('[[effect]]\nname = "payment"\nrequest = { path = "/pay" }\n')
    with serving(hostile) as service:
        run = scanned(service.url, "--only", "SC-REPLAY", "--plan", plan, form="text")
    assert "409 \\x1b[1A" in run.text
    assert unsafe_in(run.text + run.errors) == set()


def test_error_message_cannot_move_the_cursor() -> None:
    run = scanned("https://\x9b2A.example", form="text")
    assert run.code == 2
    assert unsafe_in(run.errors) == set()

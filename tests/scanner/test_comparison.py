"""Two reports: new findings, mended ones, and checks that are decided no longer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from securecore_scan.outcomes import Confidence, Outcome, Verdict, failed, passed
from securecore_scan.results import Report
from tests.scanner.test_reports import report, result, written
from tests.scanner.test_way import run

SKIPPED = Outcome(Verdict.SKIPPED, "", ("no plan",), Confidence.LOW)


def compare(tmp_path: Path, old: Report, new: Report) -> tuple[int, str]:
    paths = [tmp_path / "old.json", tmp_path / "new.json"]
    for path, one in zip(paths, (old, new), strict=True):
        path.write_text(written("json", one))
    done = run("compare", *paths)
    return done.code, done.text


def test_new_finding_is_worse(tmp_path: Path) -> None:
    code, text = compare(
        tmp_path, report(result("SC-FIX-1", passed("x"))), report(result("SC-FIX-1", failed("POST /login")))
    )
    assert code == 1
    assert "New findings: 1\n  SC-FIX-1" in text


def test_mended_finding_was_decided_again(tmp_path: Path) -> None:
    old = report(result("SC-FIX-1", failed("POST /login")), result("SC-FIX-4", failed("POST /login")))
    code, text = compare(
        tmp_path, old, report(result("SC-FIX-1", passed("POST /login")), result("SC-FIX-4", failed("POST /login")))
    )
    assert code == 0
    assert "Mended: 1\n  SC-FIX-1" in text
    assert "Still open: 1\n  SC-FIX-4" in text


def test_finding_that_was_not_tried_again_is_not_mended(tmp_path: Path) -> None:
    code, text = compare(
        tmp_path, report(result("SC-FIX-1", failed("POST /login"))), report(result("SC-FIX-1", SKIPPED))
    )
    assert code == 3
    assert "Mended: 0" in text
    assert "No longer decided: 1\n  SC-FIX-1" in text


def test_finding_on_a_route_that_is_gone_is_not_mended(tmp_path: Path) -> None:
    """The new document lacks one of two routes, and the check was decided on the other."""
    old = report(result("SC-BOLA-1", failed("GET /a/{id}")), result("SC-BOLA-1", passed("GET /b/{id}")))
    code, text = compare(tmp_path, old, report(result("SC-BOLA-1", passed("GET /b/{id}"))))
    assert code == 3
    assert "Mended: 0" in text
    assert "No longer decided: 1\n  SC-BOLA-1 high Object read by another user: GET /a/{id}" in text


def test_mended_finding_may_pass_on_another_kind_of_subject(tmp_path: Path) -> None:
    """The port offers no early data any more, so no route is tried with it."""
    old = report(result("SC-REPLAY-4", failed("POST /pay")))
    assert "Mended: 1" in compare(tmp_path, old, report(result("SC-REPLAY-4", passed("https://localhost"))))[1]


def test_findings_are_listed_by_severity(tmp_path: Path) -> None:
    found = report(
        result("SC-TOKEN-7", failed("x")), result("SC-FORGE-1", failed("x")), result("SC-FIX-1", failed("x"))
    )
    lines = compare(tmp_path, found, found)[1].splitlines()
    assert [line.split()[1] for line in lines if line.startswith("  SC")] == ["critical", "high", "low"]


def test_accepted_finding_is_not_new(tmp_path: Path) -> None:
    accepted = report(result("SC-FIX-1", failed("POST /login"), accepted="PAY-1"))
    assert compare(tmp_path, report(result("SC-FIX-1", passed("x"))), accepted)[0] == 0


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "odd.json").write_text(json.dumps({"format": "securecore-scan/1"}))
    assert run("compare", tmp_path / "odd.json", tmp_path / "odd.json").code == 2
    assert run("compare", tmp_path / "none.json", tmp_path / "none.json").code == 2


@pytest.mark.parametrize(
    "cut", ['{"format": "securecore-scan/2"}', '{"format": "securecore-scan/2", "categories": [1]}']
)
def test_report_that_is_not_whole_is_refused(tmp_path: Path, cut: str) -> None:
    """Exit code 1 would say that there are new findings."""
    whole, part = tmp_path / "old.json", tmp_path / "new.json"
    whole.write_text(written("json", report(result("SC-FIX-1", failed("POST /login")))))
    part.write_text(cut)
    done = run("compare", whole, part)
    assert done.code == 2
    assert "new.json is not whole" in done.errors

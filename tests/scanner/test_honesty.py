"""A scan that saw nothing says so: no verdict without an answer, no score without decided checks."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from demo_project import pki
from securecore_scan import runner
from securecore_scan.checks import CATEGORIES, Check, Severity
from securecore_scan.client.target import Target
from securecore_scan.outcomes import Confidence, Outcome, Verdict, failed, passed
from securecore_scan.plan import Plan
from securecore_scan.probes import CATALOGUE
from securecore_scan.redaction import Redactor
from securecore_scan.report import summary
from securecore_scan.report.document import build, mend_first
from securecore_scan.results import Report, Result
from securecore_scan.scan import exit_code
from tests.scanner.conftest import open_transport, scanned
from tests.scanner.known.notes import Notes
from tests.scanner.service import Answer, answer_200, serving
from tests.support.ports import free_port


def report(*outcomes: tuple[Check, Outcome]) -> Report:
    results = tuple(Result(check, outcome, 0.1, "again") for check, outcome in outcomes)
    return Report("https://localhost:1", results, 1.0, 10)


def skipped() -> Outcome:
    return Outcome(Verdict.SKIPPED, "", ("no plan",), Confidence.LOW)


def not_applicable() -> Outcome:
    return Outcome(Verdict.NOT_APPLICABLE, "", ("plain http",), Confidence.LOW)


def checks(category: str) -> list[Check]:
    return [check for check in CATALOGUE if check.category == category]


class TestNoVerdictWithoutAnAnswer:
    def verdicts(self, url: str, folder: Path, *more: object) -> dict[str, str]:
        pki.prepare(folder, now=dt.datetime.now(dt.UTC))
        arguments = ["--ca", folder / "ca.pem"]
        for prefix, name in (("", "alice"), ("second-", "bob")):
            arguments += [f"--{prefix}cert", folder / f"{name}.pem", f"--{prefix}key", folder / f"{name}.key"]
        run = scanned(url, *arguments, *more)
        assert run.code == 3
        return run.verdicts

    def test_no_answer_nothing_listens(self, tmp_path: Path) -> None:
        found = self.verdicts(f"https://localhost:{free_port()}", tmp_path)
        assert found
        assert not set(found.values()) & {"PASS", "FAIL"}, found

    def test_no_answer_port_speaks_no_tls(self, tmp_path: Path) -> None:
        with serving(answer_200) as service:
            found = self.verdicts(service.url.replace("http://127.0.0.1", "https://localhost"), tmp_path)
        assert not set(found.values()) & {"PASS", "FAIL"}, found

    def test_no_answer_application_behind_the_proxy(self, tmp_path: Path) -> None:
        plan = tmp_path / "plan.toml"
        plan.write_text(f'application = "http://127.0.0.1:{free_port()}"\n[session]\nread = "/"\n')
        with serving(answer_200) as service:
            run = scanned(service.url, "--plan", plan, "--only", "SC-HDR-3")
        assert set(run.verdicts.values()) <= {"INCONCLUSIVE", "NOT APPLICABLE"}, run.text

    @pytest.mark.parametrize(("recovers", "verdict"), [(True, Verdict.PASS), (False, Verdict.INCONCLUSIVE)])
    def test_no_answer_service_goes_down_during_a_check(self, recovers: bool, verdict: Verdict) -> None:
        """A refused connection looks like a service that stopped. A request of the owner tells them apart."""
        down: list[bool] = []

        def answer(method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
            if down:
                raise ConnectionResetError
            return 200, {}, {}

        def attack(target: Target) -> Iterator[Outcome]:
            target.get("/")
            down.append(True)
            with pytest.raises(httpx.HTTPError):
                target.get("/stolen")
            if recovers:
                down.clear()
            yield passed("GET /stolen", "no connection")

        with serving(answer) as service, open_transport(service.url) as transport:
            check = replace(CATALOGUE[0], run=attack)
            target = Target(transport, Plan(), Redactor())
            (found,) = runner.run(target, [check], reproduce=lambda _: "", progress=lambda *_: None)
        assert found.outcome.verdict is verdict


class TestScores:
    def test_score_needs_two_thirds_of_the_checks_that_apply(self) -> None:
        fixation = checks("session-fixation")
        for decided, judged in ((5, False), (6, True)):
            found = report(*((c, passed("x") if n < decided else skipped()) for n, c in enumerate(fixation)))
            assert (found.score("session-fixation") is not None) == judged
            assert bool(found.not_judged) != judged
        assert len(fixation) == 9

    def test_score_ignores_checks_that_do_not_apply(self) -> None:
        one, *others = checks("tls")
        found = report((one, passed("x")), *((check, not_applicable()) for check in others))
        assert (found.decided("tls"), found.score("tls"), found.not_judged) == ((1, 1), 100, [])

    def test_skipped_check_is_not_counted_among_the_attacks(self) -> None:
        first, second, third = checks("session-fixation")[:3]
        content = build(report((first, failed("x")), (second, failed("x")), (third, skipped())), exit_code=1)
        (category,) = content["categories"]
        assert summary.score(category).endswith("(2 of 3 decided)")

    def test_category_that_was_not_judged_can_be_left_out_by_the_printed_option(self) -> None:
        """A service without routes of its kind would exit with 3 for ever."""
        races = [(check, skipped()) for check in checks("authorization-race")]
        content = build(report((checks("tls")[0], passed("x")), *races), exit_code=3)
        assert summary.advice(content).endswith("leave the categories out: --skip SC-LIMIT --skip SC-RACE")

    def test_plain_http_is_no_failure_to_judge(self) -> None:
        """A whole category that does not apply is neither judged nor missing."""
        found = report(*((check, not_applicable()) for check in checks("tls")))
        assert found.not_judged == []
        assert summary.score(build(found, exit_code=3)["categories"][0]) == "not applicable"


class TestGrade:
    def graded(self, **failures: str) -> str | None:
        return report(*((c, failed("x") if c.severity.label in failures else passed("x")) for c in CATALOGUE)).grade

    def test_grade_is_not_lowered_by_information(self) -> None:
        assert self.graded(info="") == "A"

    @pytest.mark.parametrize(("severity", "grade"), [("low", "B"), ("medium", "C"), ("high", "E"), ("critical", "F")])
    def test_grade_is_that_of_the_most_severe_finding(self, severity: str, grade: str) -> None:
        assert self.graded() == "A"
        assert self.graded(**{severity: ""}) == grade

    def test_grade_one_high_finding_is_a_d(self) -> None:
        worst = next(check for check in CATALOGUE if check.severity.label == "high")
        assert report(*((c, failed("x") if c is worst else passed("x")) for c in CATALOGUE)).grade == "D"

    @pytest.mark.parametrize("category", sorted(CATEGORIES))
    def test_grade_needs_every_category(self, category: str) -> None:
        part = [(check, passed("x")) for check in CATALOGUE if check.category != category]
        assert report(*part).grade is None
        undecided = [(check, skipped()) for check in CATALOGUE if check.category == category]
        assert report(*part, *undecided).grade is None

    def test_grade_needs_tls(self) -> None:
        http = ((c, not_applicable() if c.category == "tls" else passed("x")) for c in CATALOGUE)
        assert report(*http).grade is None


class TestExitCode:
    def test_exit_code_complete_scan_with_too_few_decided_checks_is_not_clean(self) -> None:
        first, *others = checks("session-fixation")
        found = report((first, passed("x")), *((check, skipped()) for check in others))
        assert found.is_complete
        assert exit_code(found, Severity.LOW) == 3

    def test_exit_code_category_that_was_asked_for_is_not_judged(self) -> None:
        """Without a plan, cookie attributes alone judge no session fixation."""
        with serving(answer_200) as service:
            run = scanned(service.url, "--only", "SC-FIX")
        assert run.code == 3
        assert "Session fixation" in run.content["not_judged"]


def test_report_says_first_what_to_mend_first() -> None:
    by_id = {check.id: check for check in CATALOGUE}
    found = report(
        (by_id["SC-COOKIE-2"], failed("POST /login")),
        (by_id["SC-REPLAY-1"], failed("POST /a")),
        (by_id["SC-REPLAY-1"], failed("POST /b")),
        (by_id["SC-FORGE-1"], failed("GET /me")),
    )
    content = build(found, exit_code=1)
    assert [one["check"] for one in mend_first(content)] == ["SC-FORGE-1", "SC-REPLAY-1", "SC-COOKIE-2"]
    assert mend_first(content)[1]["subjects"] == ["POST /a", "POST /b"]
    first = summary.origin(content)
    assert all(text in first for text in (content["url"], content["date"][:10], content["version"], "1.0 s"))


@pytest.mark.filterwarnings("ignore::jwt.InsecureKeyLengthWarning")
def test_limit_of_requests_decides_nothing() -> None:
    """A token that is answered 429 after its revocation may still be valid."""
    notes = Notes(weak=True)
    revoked = False

    def answer(method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        nonlocal revoked
        if revoked and path == "/me":
            return 429, {}, {}
        revoked = revoked or path == "/users/v1/logout"
        return notes.answer(method, path, headers, body)

    with serving(answer) as service:
        found = scanned(service.url, "--only", "SC-TOKEN-1")
    assert found.verdicts == {"SC-TOKEN-1": "INCONCLUSIVE"}, found.text

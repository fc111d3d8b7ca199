"""One scan: discovery, checks, baseline, report and exit code."""

from __future__ import annotations

import argparse
import datetime as dt
from dataclasses import replace
from pathlib import Path
from typing import IO

import httpx

from securecore_scan import announcement, baseline, comparison, discovery, runner
from securecore_scan.budget import Stopped
from securecore_scan.checks import Check, Severity
from securecore_scan.client.target import Target
from securecore_scan.discovery import planned
from securecore_scan.options import UsageError, build_target, chosen_checks, reproduce_command
from securecore_scan.outcomes import Inconclusive, Skipped
from securecore_scan.plan import PlanError
from securecore_scan.redaction import Redactor
from securecore_scan.report import FORMAT_OF, Progress, render
from securecore_scan.report.terminal import escape_controls
from securecore_scan.results import Report, Result
from securecore_scan.scope import BadTarget

CLEAN, FINDINGS, USAGE, INCOMPLETE = 0, 1, 2, 3


def run(options: argparse.Namespace, out: IO[str], err: IO[str]) -> int:
    """Scan, write the report, and return the exit code."""
    redactor = Redactor()
    try:
        accepted = baseline.load(options.baseline) if options.baseline else []
        target = build_target(options, redactor)
        checks = chosen_checks(options.only, options.skip)
        _announce(target, err, is_quiet=options.quiet)
        report = _scan(target, checks, options, Progress(err, len(checks), is_quiet=options.quiet))
    except (UsageError, PlanError, BadTarget, baseline.BaselineError) as error:
        err.write(f"{escape_controls(redactor.redact(str(error)))}\n")
        return USAGE
    results, notes = baseline.apply(report.results, accepted, today=dt.datetime.now(dt.UTC).date())
    report = replace(report, results=tuple(results), notes=tuple(notes))
    code = exit_code(report, Severity[options.fail_on.upper()])

    def written(form: str) -> str:
        return render(form, report, redactor=redactor, exit_code=code, location=options.location)

    if not options.output:
        out.write(written(options.format or "text"))
        return code
    for path in options.output:
        if _write(path, written(options.format or FORMAT_OF.get(path.suffix, "text")), out, err):
            err.write(f"{path}: {_summary(report)}\n")
        else:
            code = USAGE  # and the other files are written
    return code


def _write(path: Path, text: str, out: IO[str], err: IO[str]) -> bool:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        # A deep scan takes up to 30 minutes: print the report, or the plan, rather than lose it.
        out.write(text)
        err.write(f"Cannot write {path}: {error.strerror}.\n")
        return False
    return True


def write_plan(options: argparse.Namespace, out: IO[str], err: IO[str]) -> int:
    """Write a plan for the target, and say which entries are missing. Return the exit code."""
    redactor = Redactor()
    options.deep = False
    try:
        target = build_target(options, redactor)
        _announce(target, err, is_quiet=options.quiet)
        try:
            target.get("/")
            discovery.complete(target, options.openapi)
        finally:
            target.transport.close()
    except (UsageError, PlanError, BadTarget, Stopped, httpx.HTTPError, Skipped, Inconclusive) as error:
        said = f"No response from {options.url}: {error}" if isinstance(error, httpx.HTTPError) else str(error)
        err.write(f"{escape_controls(redactor.redact(said))}{_hint(str(error), options)}\n")
        return USAGE
    text = redactor.redact(planned.toml(_without_passwords(target)))
    absent = list(planned.missing(target))
    if not options.output:
        out.write(text)
    elif not _write(options.output, text, out, err):
        return USAGE
    for entry in absent:
        err.write(f"missing: {entry['name']}, needed by {entry['checks']}, because {entry['because']}\n")
    return CLEAN


def compare_reports(options: argparse.Namespace, out: IO[str], err: IO[str]) -> int:
    """Write the differences of two JSON reports, and return the exit code."""
    try:
        old, new = comparison.load(options.old), comparison.load(options.new)
    except comparison.ReportError as error:
        err.write(f"{escape_controls(str(error))}\n")
        return USAGE
    found = comparison.compare(old, new)
    for line in found.lines():
        out.write(f"{escape_controls(line)}\n")
    return found.code


def exit_code(report: Report, fail_on: Severity) -> int:
    """Return the exit code. A finding outranks an incomplete scan."""
    if report.findings(fail_on):
        return FINDINGS
    return CLEAN if report.is_complete and not report.not_judged else INCOMPLETE


def _scan(target: Target, checks: list[Check], options: argparse.Namespace, progress: Progress) -> Report:
    for sentence in announcement.opening(target, len(checks)):
        target.announce(sentence)
    results: list[Result] = []
    began, stopped = dt.datetime.now(dt.UTC), ""
    reproduce = reproduce_command(options)
    try:
        try:
            target.get("/")
            target.plan = discovery.complete(target, options.openapi)
            for sentence in announcement.before_checks(target, checks):
                target.announce(sentence)
        except httpx.HTTPError as error:
            # Only handshakes can be checked now, and a wrong handshake may be the cause.
            checks = [check for check in checks if check.category == "tls"]
            stopped = f"no response from {target.transport.origin}: {type(error).__name__}: {error}"
            stopped += _hint(str(error), options)
        except (Stopped, Skipped, PlanError, BadTarget):
            raise
        except Inconclusive as reason:  # such as a login that answers 429 from the third time on
            checks = [check for check in checks if check.category == "tls"]
            stopped = f"the search for routes ended: {reason}"
        except Exception as error:
            # The service chooses its document and responses. Without this, Python would exit with 1: "findings".
            checks = [check for check in checks if check.category == "tls"]
            stopped = f"the search for routes met an error: {type(error).__name__}: {error}"
        for result in runner.run(target, checks, reproduce=reproduce, progress=progress.show):
            results.append(result)
    except Stopped as reason:
        stopped = str(reason)
    except Skipped as reason:
        raise UsageError(f"The scan {reason}.") from None
    except KeyboardInterrupt:
        stopped = "interrupted"
    finally:
        progress.end()
        target.transport.close()
    budget = target.transport.budget
    stopped = stopped or budget.stopped
    return Report(options.url, tuple(results), budget.elapsed, budget.sent, stopped, dict(target.routes), began=began)


def _announce(target: Target, err: IO[str], *, is_quiet: bool) -> None:
    """Let the target say each change once, on ``err``."""
    said: set[str] = set()

    def announce(sentence: str) -> None:
        if not is_quiet and sentence not in said:
            said.add(sentence)
            err.write(f"securecore-scan {escape_controls(target.redactor.redact(sentence))}\n")

    target.announce = announce


def _hint(error: str, options: argparse.Namespace) -> str:
    """Return the option that probably mends a failed connection."""
    if "CERTIFICATE_VERIFY_FAILED" in error and options.ca is None:
        return " (give the authority that signed the server's certificate: --ca)"
    if options.url.startswith("https") and options.cert is None and "refused" not in error.lower():
        return " (if the port demands a client certificate: --cert and --key)"
    return ""


def _without_passwords(target: Target) -> Target:
    """Name the environment variable of a password in place of the password."""
    accounts = target.plan.accounts
    for role, variable in (("owner", "SECURECORE_SCAN_PASSWORD"), ("second", "SECURECORE_SCAN_SECOND_PASSWORD")):
        account = getattr(accounts, role)
        if account is not None and "{env:" not in account.password:
            accounts = replace(accounts, **{role: replace(account, password=f"{{env:{variable}}}")})
    target.plan = replace(target.plan, accounts=accounts)
    return target


def _summary(report: Report) -> str:
    return f"{len(report.findings())} findings, {len(report.results)} results in {report.seconds:.1f} s"

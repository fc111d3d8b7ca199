"""One scan: discovery, checks, baseline, report and exit code."""

from __future__ import annotations

import argparse
import datetime as dt
from dataclasses import replace
from typing import IO

import httpx

from securecore_scan import baseline, discovery, runner
from securecore_scan.budget import Stopped
from securecore_scan.checks import Check, Severity
from securecore_scan.client.target import Target
from securecore_scan.options import UsageError, build_target, chosen_checks, reproduce_command
from securecore_scan.outcomes import Skipped
from securecore_scan.plan import PlanError
from securecore_scan.redaction import Redactor
from securecore_scan.report import Progress, render
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
        checks = chosen_checks(options.only)
        report = _scan(target, checks, options, Progress(err, len(checks), is_quiet=options.quiet))
    except (UsageError, PlanError, BadTarget, baseline.BaselineError) as error:
        err.write(f"{escape_controls(redactor.redact(str(error)))}\n")
        return USAGE
    results, notes = baseline.apply(report.results, accepted, today=dt.datetime.now(dt.UTC).date())
    report = replace(report, results=tuple(results), notes=tuple(notes))
    code = exit_code(report, Severity[options.fail_on.upper()])
    text = render(options.format, report, redactor=redactor, exit_code=code, location=options.location)
    if not options.output:
        out.write(text)
        return code
    try:
        options.output.write_text(text, encoding="utf-8")
    except OSError as error:
        # A deep scan takes up to 30 minutes: print the report rather than lose it.
        out.write(text)
        err.write(f"Cannot write {options.output}: {error.strerror}.\n")
        return USAGE
    err.write(f"{options.output}: {_summary(report)}\n")
    return code


def exit_code(report: Report, fail_on: Severity) -> int:
    """Return the exit code. A finding outranks an incomplete scan."""
    if report.findings(fail_on):
        return FINDINGS
    return CLEAN if report.is_complete and not report.not_judged else INCOMPLETE


def _scan(target: Target, checks: list[Check], options: argparse.Namespace, progress: Progress) -> Report:
    results: list[Result] = []
    began, stopped = dt.datetime.now(dt.UTC), ""
    reproduce = reproduce_command(options)
    try:
        try:
            target.get("/")
            target.plan = discovery.complete(target, options.openapi)
        except httpx.HTTPError as error:
            # Only handshakes can be checked now, and a wrong handshake may be the cause.
            checks = [check for check in checks if check.category == "tls"]
            stopped = f"no response from {target.transport.origin}: {type(error).__name__}: {error}"
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


def _summary(report: Report) -> str:
    return f"{len(report.findings())} findings, {len(report.results)} results in {report.seconds:.1f} s"

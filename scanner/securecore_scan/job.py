"""One scan, from its options to its exit code."""

from __future__ import annotations

import argparse
import datetime as dt
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import IO

import httpx

from securecore_scan import baseline, discovery, planfile, runner
from securecore_scan.client.target import Target
from securecore_scan.client.wire import Wire
from securecore_scan.limits import BadTarget, Budget, Stopped
from securecore_scan.plan import Identities, Identity, Plan, PlanError
from securecore_scan.probes import CATALOGUE
from securecore_scan.report import FORMATS, Progress, document
from securecore_scan.runner import Report
from securecore_scan.secrets import Secrets
from securecore_scan.verdict import Check, Result, Severity, Skipped

__all__ = ["FORMATS", "SEVERITIES", "run"]

CLEAN, FINDINGS, USAGE, INCOMPLETE = 0, 1, 2, 3
SEVERITIES = [severity.label for severity in Severity]
#: Requests and seconds of a standard scan, and of a deep one.
_STANDARD, _DEEP = (10_000, 120.0), (200_000, 1_800.0)


class UsageError(Exception):
    """What is wrong with the call."""


def run(options: argparse.Namespace, out: IO[str], err: IO[str]) -> int:
    """Scan, write the report, return the exit code."""
    secrets = Secrets()
    try:
        accepted = baseline.load(options.baseline) if options.baseline else []
        target = _target(options, secrets)
        checks = _checks(options.only)
        report = _scanned(target, checks, options, Progress(err, len(checks), is_quiet=options.quiet))
    except (UsageError, PlanError, BadTarget, baseline.BaselineError) as error:
        err.write(f"{secrets.hide(str(error))}\n")
        return USAGE
    results, notes = baseline.apply(report.results, accepted, today=dt.datetime.now(dt.UTC).date())
    report = replace(report, results=tuple(results), notes=tuple(notes))
    code = exit_code(report, Severity[options.fail_on.upper()])
    # The whole document, after it was made: no writer can forget to hide.
    text = document(options.format, report, secrets=secrets, exit_code=code, location=options.location)
    if options.output:
        options.output.write_text(text, encoding="utf-8")
        err.write(f"{options.output}: {_summary(report)}\n")
    else:
        out.write(text)
    return code


def exit_code(report: Report, fail_on: Severity) -> int:
    """Return what the program says to a shell. A finding outranks that more could not be looked at."""
    if report.findings(fail_on):
        return FINDINGS
    return CLEAN if report.is_complete else INCOMPLETE


def _scanned(target: Target, checks: list[Check], options: argparse.Namespace, progress: Progress) -> Report:
    results: list[Result] = []
    stopped = ""
    reproduce = _reproduction(options)
    try:
        try:
            target.get("/")
            target.plan = discovery.complete(target, options.openapi)
        except httpx.HTTPError as error:
            # Handshakes can still be looked at: they may be what is wrong.
            checks = [check for check in checks if check.category == "tls"]
            stopped = f"nobody answers at {target.wire.origin}: {type(error).__name__}: {error}"
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
        target.wire.close()
    budget = target.wire.budget
    stopped = stopped or budget.stopped
    return Report(options.url, tuple(results), budget.elapsed, budget.sent, stopped, dict(target.routes))


def _target(options: argparse.Namespace, secrets: Secrets) -> Target:
    scanned = planfile.load(options.plan) if options.plan else Plan()
    named = {
        "owner": _identity(options.cert, options.key),
        "second": _identity(options.second_cert, options.second_key),
        "admin": _identity(options.admin_cert, options.admin_key),
    }
    identities = replace(scanned.identities, **{who: found for who, found in named.items() if found})
    for path in [options.ca, *_files(identities)]:
        if path is not None and not path.is_file():
            raise UsageError(f"There is no file {path}.")
    requests, seconds = _DEEP if options.deep else _STANDARD
    budget = Budget(options.max_requests or requests, options.max_seconds or seconds)
    hosts = frozenset(options.allow_host)
    try:
        wire = Wire(options.url, ca=options.ca, identities=identities, budget=budget, hosts=hosts)
        for who in ("owner", "second", "admin"):
            if wire.has(who):
                wire.context(wire.identity(who))
    except OSError as error:
        raise UsageError(f"A certificate and its key do not fit, or are none: {error}") from None
    return Target(wire, scanned, secrets, deep=options.deep)


def _files(identities: Identities) -> list[Path]:
    known = (identities.owner, identities.second, identities.admin)
    return [path for identity in known if identity for path in (identity.cert, identity.key)]


def _identity(cert: Path | None, key: Path | None) -> Identity | None:
    if cert is None and key is not None:
        raise UsageError(f"{key} is a key without its certificate.")
    return Identity(cert, key or cert) if cert else None


def _checks(only: list[str]) -> list[Check]:
    unknown = [word for word in only if not any(_named(check, word) for check in CATALOGUE)]
    if unknown:
        raise UsageError(f"There is no check {unknown[0]!r}. Known: {', '.join(check.id for check in CATALOGUE)}.")
    return [check for check in CATALOGUE if not only or any(_named(check, word) for word in only)]


def _named(check: Check, word: str) -> bool:
    return check.id == word.upper() or check.id.startswith(f"{word.upper()}-")


def _reproduction(options: argparse.Namespace) -> Callable[[Check], str]:
    """Return what tells, for a check, the command that repeats it. Paths of keys are no secrets; keys are not in it."""
    words = ["securecore-scan", options.url]
    for name in ("cert", "key", "second_cert", "second_key", "admin_cert", "admin_key", "ca", "plan", "openapi"):
        if value := getattr(options, name):
            words += [f"--{name.replace('_', '-')}", str(value)]
    words += [word for host in options.allow_host for word in ("--allow-host", host)]
    words += ["--deep"] if options.deep else []
    return lambda check: shlex.join([*words, "--only", check.id])


def _summary(report: Report) -> str:
    return f"{len(report.findings())} findings, {len(report.results)} results in {report.seconds:.1f} s"

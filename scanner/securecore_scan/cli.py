"""The command line of the scanner."""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from securecore_scan import scan
from securecore_scan.checks import Severity
from securecore_scan.report import FORMATS

_DESCRIPTION = """\
Attack your own API and report each attack as PASS, FAIL, INCONCLUSIVE, SKIPPED, NOT APPLICABLE or ERROR.

With a URL alone, the scanner reads the OpenAPI document, opens two canary accounts if registration is open, logs in,
and attacks. Certificates (mutual TLS), logins and a plan let it decide more.

The scan changes data, and says so before it does: it creates objects, logs in and out, revokes a permission and
restores it. Use a test system or canary accounts, or --read-only. Manual: docs/scanner.md of the securecore
repository.

other commands:
  securecore-scan init [options] URL    write a plan from the document and a login, and say which entries are missing
  securecore-scan compare OLD NEW       compare two reports of --format json: new, mended and undecided checks"""
_EXAMPLE = """\
exit code:
  0  no finding at or above --fail-on
  1  findings
  2  the command line, the plan or the baseline is wrong
  3  the scan is incomplete: it stopped early, a check met an error, or a category could not be judged because fewer
     than two thirds of its checks were decided (--only and --skip leave a category out)

examples:
  securecore-scan http://localhost:5000
  SECURECORE_SCAN_PASSWORD=... securecore-scan http://localhost:8000 --login canary
  securecore-scan https://localhost:8443 --ca ca.pem --cert alice.pem --key alice.key \\
      --second-cert bob.pem --second-key bob.key --plan plan.toml"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program and return its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _run(words)
    except Exception:
        # Python would exit with 1, which a pipeline reads as findings.
        traceback.print_exc()
        sys.stderr.write("This is an error of securecore-scan itself: nothing was decided.\n")
        return scan.INCOMPLETE


def _run(words: Sequence[str]) -> int:
    if words[:1] == ["init"]:
        return scan.write_plan(init_parser().parse_args(words[1:]), sys.stdout, sys.stderr)
    if words[:1] == ["compare"]:
        return scan.compare_reports(_compare_parser().parse_args(words[1:]), sys.stdout, sys.stderr)
    return scan.run(parser().parse_args(words), sys.stdout, sys.stderr)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    made = argparse.ArgumentParser(
        prog="securecore-scan",
        usage="securecore-scan [options] URL",
        description=_DESCRIPTION,
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("url", metavar="URL", help="the address of the API, such as https://localhost:8443/api")
    _add_certificates(made)
    _add_scope(made)
    _add_report(made)
    return made


def init_parser() -> argparse.ArgumentParser:
    """Return the parser of ``init``."""
    made = argparse.ArgumentParser(
        prog="securecore-scan init",
        description="Write a plan for an API, from its OpenAPI document, common paths and a login. The plan is TOML; "
        "comments in it name each missing entry, the checks that need it, and why they matter. Like a scan, this opens "
        "canary accounts and creates a canary object, unless --read-only is given.",
    )
    made.add_argument("url", metavar="URL", help="the address of the API")
    _add_certificates(made)
    _add_scope(made)
    made.add_argument("--output", type=Path, metavar="FILE", help="write the plan to FILE (default: standard output)")
    made.add_argument("--quiet", action="store_true", help="do not announce changes")
    return made


def _compare_parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="securecore-scan compare",
        description="Compare two JSON reports. Exit code 1: new findings; 2: a file is no report; 3: a check that was "
        "decided is decided no longer; 0: neither.",
    )
    made.add_argument("old", type=Path, metavar="OLD", help="the report of the earlier scan")
    made.add_argument("new", type=Path, metavar="NEW", help="the report of the later scan")
    return made


def _add_certificates(made: argparse.ArgumentParser) -> None:
    add = made.add_argument_group("certificates").add_argument
    for prefix, description in (
        ("", "the certificate of the owner: the victim of the attacks"),
        ("second-", "the certificate of another honest user: the attacker"),
        ("admin-", "the certificate of an administrator, to revoke and restore permissions"),
    ):
        add(f"--{prefix}cert", type=Path, metavar="PEM", help=description)
        add(f"--{prefix}key", type=Path, metavar="PEM", help="its private key (default: in the same file)")
    add("--ca", type=Path, metavar="PEM", help="the authority that signed the server's certificate")
    add = made.add_argument_group("logins").add_argument
    for prefix, role in (("", "the owner"), ("second-", "another honest user: the attacker")):
        name = f"SECURECORE_SCAN_{prefix.upper().replace('-', '_')}PASSWORD"
        add(f"--{prefix}login", metavar="NAME", help=f"the canary account of {role}; its password is in {name}")


def _add_scope(made: argparse.ArgumentParser) -> None:
    add = made.add_argument_group("scope").add_argument
    add("--plan", type=Path, metavar="TOML", help="routes and limits that the scanner cannot find by itself")
    add("--openapi", metavar="URL|FILE", help="the OpenAPI document of the API, in JSON or YAML")
    add("--only", action="append", default=[], metavar="ID", help="run one check (SC-FIX-1) or one group (SC-FIX)")
    add("--skip", action="append", default=[], metavar="ID", help="leave out one check or one group")
    add("--read-only", action="store_true", help="send GET, HEAD and OPTIONS only: open no account, change nothing")
    add("--deep", action="store_true", help="run ten times the rounds, to find rarer races and slower leaks")
    add("--allow-host", action="append", default=[], metavar="HOST", help="allow attacks on this host of yours")
    add(
        "--max-requests",
        type=positive_integer,
        metavar="N",
        help="stop after N requests (default: 10,000; 200,000 with --deep)",
    )
    add(
        "--budget",
        type=duration,
        metavar="TIME",
        help="stop after this time, such as 15s or 5m (default: 2m; 30m with --deep)",
    )


def positive_integer(text: str) -> int:
    """Return a number of at least 1. For a ``ValueError``, argparse reports the option and this function's name."""
    if (number := int(text)) < 1:
        raise ValueError(text)
    return number


def duration(text: str) -> float:
    """Return the seconds of a text such as ``15s``, ``5m`` or ``90``. They are above 0, which NaN is not."""
    unit = {"s": 1, "m": 60, "h": 3600}.get(text[-1:])
    if not (seconds := float(text[:-1] if unit else text) * (unit or 1)) > 0:
        raise ValueError(text)
    return seconds


def _add_report(made: argparse.ArgumentParser) -> None:
    add = made.add_argument_group("report").add_argument
    add("--format", choices=FORMATS, help="the format of the report (default: by the ending of --output, else text)")
    add(
        "--output",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="write the report to FILE, in the format of its ending: json, sarif, xml (JUnit), html, md, txt. May be "
        "given several times (default: standard output)",
    )
    add("--baseline", type=Path, metavar="TOML", help="accepted findings, each with a reason and an expiry date")
    add(
        "--fail-on",
        choices=[severity.label for severity in Severity],
        default="medium",
        help="exit with 1 for findings of this severity or above (default: %(default)s)",
    )
    add(
        "--location",
        default="openapi.json",
        metavar="PATH",
        help="the file of the repository to which SARIF attaches the findings (default: %(default)s)",
    )
    add("--quiet", action="store_true", help="show no progress bar, and do not announce changes")

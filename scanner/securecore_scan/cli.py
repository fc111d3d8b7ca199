"""The command line of the scanner."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from securecore_scan import scan
from securecore_scan.checks import Severity
from securecore_scan.report import FORMATS

_DESCRIPTION = """\
Attack your own API over mutual TLS and report each attack as PASS, FAIL, INCONCLUSIVE, SKIPPED or ERROR.

The scan changes data: it pays, logs in and out, revokes a permission and restores it. Use a test system or canary
accounts. Manual: docs/scanner.md of the securecore repository."""
_EXAMPLE = """\
exit code:
  0  no finding at or above --fail-on
  1  findings
  2  the command line, the plan or the baseline is wrong
  3  the scan is incomplete: it stopped early, a check met an error, or no check was decided

example:
  securecore-scan https://localhost:8443 --ca ca.pem --cert alice.pem --key alice.key \\
      --second-cert bob.pem --second-key bob.key --plan plan.toml"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program and return its exit code."""
    return scan.run(parser().parse_args(arguments), sys.stdout, sys.stderr)


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


def _add_scope(made: argparse.ArgumentParser) -> None:
    add = made.add_argument_group("scope").add_argument
    add("--plan", type=Path, metavar="TOML", help="routes and limits that the scanner cannot find by itself")
    add("--openapi", metavar="URL|FILE", help="the OpenAPI document of the API, as JSON")
    add("--only", action="append", default=[], metavar="ID", help="run one check (SC-FIX-1) or one group (SC-FIX)")
    add("--deep", action="store_true", help="run ten times the rounds, to find rarer races and slower leaks")
    add("--allow-host", action="append", default=[], metavar="HOST", help="allow attacks on this host of yours")
    add(
        "--max-requests",
        type=positive_integer,
        metavar="N",
        help="stop after N requests (default: 10,000; 200,000 with --deep)",
    )
    add(
        "--max-seconds",
        type=positive_number,
        metavar="S",
        help="stop after S seconds (default: 120; 1,800 with --deep)",
    )


def positive_integer(text: str) -> int:
    """Return a number of at least 1. For a ``ValueError``, argparse reports the option and this function's name."""
    if (number := int(text)) < 1:
        raise ValueError(text)
    return number


def positive_number(text: str) -> float:
    """Return a number above 0, which NaN is not."""
    if not (number := float(text)) > 0:
        raise ValueError(text)
    return number


def _add_report(made: argparse.ArgumentParser) -> None:
    add = made.add_argument_group("report").add_argument
    add("--format", choices=FORMATS, default="text", help="the format of the report (default: %(default)s)")
    add("--output", type=Path, metavar="FILE", help="write the report to FILE (default: standard output)")
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
    add("--quiet", action="store_true", help="show no progress bar")

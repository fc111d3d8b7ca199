"""Arguments, and the exit code.

0  nothing at or above --fail-on
1  findings
2  the call, the plan or the baseline is wrong
3  the scan is incomplete: it was stopped, a check met an error, or nothing could be decided
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from securecore_scan import job

_DESCRIPTION = "Attack your own API in the five ways, over the wire, and say plainly what happened."
_CLOSING = "Exit code: 0 nothing at or above --fail-on, 1 findings, 2 wrong usage, 3 the scan is incomplete."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program and return its exit code."""
    parser = argparse.ArgumentParser(prog="securecore-scan", description=_DESCRIPTION, epilog=_CLOSING)
    add_arguments(parser)
    return scan(parser.parse_args(arguments))


def scan(options: argparse.Namespace, *, stdout: IO[str] | None = None, stderr: IO[str] | None = None) -> int:
    """Scan as ``options`` say, write the report, and return the exit code."""
    return job.run(options, stdout or sys.stdout, stderr or sys.stderr)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the scanner's arguments to a parser, which may be a management command's."""
    add = parser.add_argument
    add("url", help="where the API is; a path is the prefix to scan")
    for who, said in (
        ("", "the client certificate to scan with"),
        ("second-", "somebody else's certificate: the attacker"),
        ("admin-", "an administrator's certificate, for what only he may do"),
    ):
        add(f"--{who}cert", type=Path, metavar="PEM", help=said)
        add(f"--{who}key", type=Path, metavar="PEM", help="its key (default: in the same file)")
    add("--ca", type=Path, metavar="PEM", help="the authority of the server's certificate")
    add("--plan", type=Path, metavar="TOML", help="what cannot be guessed; see docs/scanner.md")
    add("--openapi", metavar="URL|FILE", help="the OpenAPI document, as JSON")
    add("--baseline", type=Path, metavar="TOML", help="findings accepted for a reason until a day")
    add("--format", choices=job.FORMATS, default="text")
    add("--output", type=Path, metavar="FILE", help="write the report there (default: standard output)")
    add("--fail-on", choices=job.SEVERITIES, default="medium", help="exit 1 from here on (%(default)s)")
    add("--only", action="append", default=[], metavar="ID", help="SC-FIX-1, or SC-FIX for all of them")
    add("--deep", action="store_true", help="ten times the rounds: rarer races, surer slopes")
    add("--allow-host", action="append", default=[], metavar="HOST", help="a host of yours that may be attacked")
    add("--max-requests", type=int, metavar="N", help="stop after so many (10,000; 200,000 with --deep)")
    add("--max-seconds", type=float, metavar="S", help="stop after so long (120; 1,800 with --deep)")
    add("--location", default="openapi.json", metavar="PATH", help="the file of the repository that SARIF points at")
    add("--quiet", action="store_true", help="no progress")

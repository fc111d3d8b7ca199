"""Turns command-line options into a target, a list of checks, and the command that repeats a check."""

from __future__ import annotations

import argparse
import getpass
import os
import shlex
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from securecore_scan import planfile
from securecore_scan.budget import Budget
from securecore_scan.checks import Check
from securecore_scan.client.target import Target
from securecore_scan.client.transport import Transport
from securecore_scan.plan import Account, Accounts, Identities, Identity, Plan
from securecore_scan.probes import CATALOGUE
from securecore_scan.redaction import Redactor

#: Requests and seconds of a standard scan, and of a deep scan.
_STANDARD, _DEEP = (10_000, 120.0), (200_000, 1_800.0)


class UsageError(Exception):
    """The command line is wrong."""


def build_target(options: argparse.Namespace, redactor: Redactor) -> Target:
    """Return the target of the scan. Raises ``UsageError``, ``PlanError`` or ``BadTarget``."""
    plan = planfile.load(options.plan) if options.plan else Plan()
    named = {
        "owner": _identity(options.cert, options.key),
        "second": _identity(options.second_cert, options.second_key),
        "admin": _identity(options.admin_cert, options.admin_key),
    }
    identities = replace(plan.identities, **{role: found for role, found in named.items() if found})
    for path in [options.ca, *_files(identities)]:
        if path is not None and not path.is_file():
            raise UsageError(f"There is no file {path}.")
    for path in options.output if isinstance(options.output, list) else filter(None, [options.output]):
        if not path.parent.is_dir():
            raise UsageError(f"There is no folder {path.parent}.")
    plan = replace(plan, accounts=_accounts(options, plan.accounts))
    requests, seconds = _DEEP if options.deep else _STANDARD
    try:
        transport = Transport(
            options.url,
            ca=options.ca,
            identities=identities,
            budget=Budget(options.max_requests or requests, options.budget or seconds),
            hosts=frozenset(options.allow_host),
            is_read_only=options.read_only,
        )
        for role in ("owner", "second", "admin"):
            if transport.has(role):
                transport.context(transport.identity(role))
    except OSError as error:
        raise UsageError(f"A certificate file is malformed, or does not match its key: {error}") from None
    return Target(transport, plan, redactor, deep=options.deep)


def chosen_checks(only: list[str], skip: list[str]) -> list[Check]:
    """Return the checks that --only selects, or all, without those of --skip. Raises ``UsageError``."""
    unknown = [word for word in (*only, *skip) if not any(_matches(check, word) for check in CATALOGUE)]
    if unknown:
        raise UsageError(f"There is no check {unknown[0]!r}. Known: {', '.join(check.id for check in CATALOGUE)}.")
    asked = [check for check in CATALOGUE if not only or any(_matches(check, word) for word in only)]
    return [check for check in asked if not any(_matches(check, word) for word in skip)]


def reproduce_command(options: argparse.Namespace) -> Callable[[Check], str]:
    """Return a function from a check to the command that repeats the check alone.

    The command contains the paths of key files, and no key.
    """
    words = ["securecore-scan", options.url]
    for name in (
        "login",
        "second_login",
        "cert",
        "key",
        "second_cert",
        "second_key",
        "admin_cert",
        "admin_key",
        "ca",
        "plan",
        "openapi",
    ):
        if value := getattr(options, name):
            words += [f"--{name.replace('_', '-')}", str(value)]
    words += [word for host in options.allow_host for word in ("--allow-host", host)]
    words += [f"--{name.replace('_', '-')}" for name in ("deep", "read_only") if getattr(options, name)]
    return lambda check: shlex.join([*words, "--only", check.id])


def _accounts(options: argparse.Namespace, planned: Accounts) -> Accounts:
    """Return the accounts of the plan and of --login. Passwords come from the environment, or are asked for."""
    for role, name, variable in (
        ("owner", options.login, "SECURECORE_SCAN_PASSWORD"),
        ("second", options.second_login, "SECURECORE_SCAN_SECOND_PASSWORD"),
    ):
        if name is None:
            continue
        password = os.environ.get(variable)
        if password is None and sys.stdin is not None and sys.stdin.isatty():
            password = getpass.getpass(f"Password of {name}: ")
        if not password:
            raise UsageError(f"The password of {name} is missing: set the environment variable {variable}.")
        planned = replace(planned, **{role: Account(name, password)})
    return planned


def _files(identities: Identities) -> list[Path]:
    known = (identities.owner, identities.second, identities.admin)
    return [path for identity in known if identity for path in (identity.cert, identity.key)]


def _identity(cert: Path | None, key: Path | None) -> Identity | None:
    if cert is None and key is not None:
        raise UsageError(f"{key} is a key without its certificate.")
    return Identity(cert, key or cert) if cert else None


def _matches(check: Check, word: str) -> bool:
    return check.id == word.upper() or check.id.startswith(f"{word.upper()}-")

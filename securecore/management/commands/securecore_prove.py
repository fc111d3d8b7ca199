from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from django.core.management.base import CommandError
from django.db import DatabaseError, connections

import securecore
from securecore.conf import settings
from securecore.deployment import prove
from securecore.deployment.trials import Outcome
from securecore.errors import Misuse
from securecore.management.terminal import TerminalCommand, require_tables, whole

_PAGE = "docs/prove.md"


class Command(TerminalCommand):
    help = "Try each promise that this deployment can break. Exit code 1: a promise is broken; 2: one was not tried."
    requires_system_checks = ()  # a wrong setting is a verdict here

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "ids", nargs="*", metavar="ID", type=str.upper, help="try these only, for example P201; without ids, all"
        )
        parser.add_argument("--json", action="store_true", dest="as_json", help="print one JSON object, no table")
        parser.add_argument("--seconds", type=whole(1, 600), default=30, help="time limit; 30 if not given")
        parser.add_argument("--nginx", metavar="PATH", help="also check this nginx configuration, with its includes")

    def handle(
        self, *args: Any, ids: list[str], as_json: bool, seconds: int, nginx: str | None, **options: Any
    ) -> None:
        if settings.DATABASE not in connections:
            raise CommandError(f"DATABASES has no {settings.DATABASE!r} (securecore.E603).", returncode=2)
        with suppress(DatabaseError):  # a trial reports a database that does not respond
            require_tables(returncode=2)
        began = time.monotonic()
        try:
            results = prove.prove(seconds=seconds, nginx=nginx, only=ids)
        except Misuse as error:
            raise CommandError(str(error), returncode=2) from error
        code = prove.exit_code(results)
        if as_json:
            self.say(json.dumps(_report(results, code, time.monotonic() - began)))
        else:
            self._print(results, time.monotonic() - began)
        if not prove.store(results):
            self.say("The database did not store the verdicts for the control room.", error=True)
        if code:
            raise SystemExit(code)

    def _print(self, results: Sequence[prove.Result], seconds: float) -> None:
        width = max(len(result.trial.promise) for result in results)
        for trial, verdict in ((result.trial, result.verdict) for result in results):
            self.say(f"{trial.id}  {verdict.outcome:<12}  {trial.promise:<{width}}  {verdict.detail}")
        counts = {outcome: sum(result.verdict.outcome is outcome for result in results) for outcome in Outcome}
        self.say(f"{', '.join(f'{count} {outcome}' for outcome, count in counts.items() if count)}; {seconds:.1f} s")
        if broken := [result.trial.id for result in results if result.verdict.outcome is Outcome.BROKEN]:
            self.say(f"Broken: {', '.join(broken)}. {_PAGE} has a section for each.")


def _report(results: Sequence[prove.Result], code: int, seconds: float) -> dict[str, Any]:
    return {
        "exit_code": code,
        "seconds": round(seconds, 2),
        "version": securecore.__version__,
        "host": platform.node(),
        "lease_ms": settings.LEASE_MS,
        "results": [
            {
                "id": result.trial.id,
                "promise": result.trial.promise,
                "outcome": result.verdict.outcome,
                "detail": result.verdict.detail,
                "page": f"{_PAGE}#{result.trial.id.lower()}",
            }
            for result in results
        ],
    }

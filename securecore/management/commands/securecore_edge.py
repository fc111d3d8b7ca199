from __future__ import annotations

import argparse
from typing import Any

from django.core.management.base import CommandError

from securecore.management.terminal import FAILED, Actions, TerminalCommand

try:
    from securecore.deployment import nginx
except ImportError:  # the parser is an extra
    nginx = None  # type: ignore[assignment]


class Command(TerminalCommand):
    help = "Find known traps in the configuration of the proxy in front."
    requires_system_checks = ()  # the command checks the proxy, not the project

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        checking = Actions(parser).add("check", help="read an nginx configuration; exit code 1 if it has traps")
        checking.add_argument("path", help="the main file, nginx.conf; included files are read too")

    def handle(self, *args: Any, path: str, **options: Any) -> None:
        if nginx is None:
            raise CommandError("This needs a parser: pip install 'securecore[edge]'.")
        try:
            findings = nginx.check(path)
        except (OSError, ValueError) as error:
            raise CommandError(str(error)) from None
        for each in findings:
            self.done(
                f"{each.place}: {each.code} {each.problem}",
                place=str(each.place),
                code=each.code,
                problem=each.problem,
                hint=each.hint,
            )
            if not self._as_json:
                self.say(f"    Write: {each.hint}")
        if findings:
            raise SystemExit(FAILED)
        if not self._as_json:
            self.say("No known trap.")

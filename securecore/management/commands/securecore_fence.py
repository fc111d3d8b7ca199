from __future__ import annotations

import argparse
from typing import Any

from django.core.management.base import CommandError

from securecore import database
from securecore.conf import settings
from securecore.errors import Misuse
from securecore.management.terminal import TerminalCommand
from securecore.replay import failover_fence


class Command(TerminalCommand):
    help = "Refuse, after a failover to an asynchronous standby, the nonces and proofs of before (PostgreSQL)."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("action", choices=["install", "remove", "status"])

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        if database.connection().vendor != "postgresql":
            raise CommandError("The fence needs PostgreSQL: no other database has standbys that are promoted.")
        if settings.REPLAY_CACHE:
            raise CommandError(
                f"The nonces are in the cache {settings.REPLAY_CACHE!r} (REPLAY_CACHE), which the fence does not guard."
            )
        try:
            if action == "install":
                failover_fence.install()
            elif action == "remove":
                failover_fence.remove()
        except Misuse as misuse:
            raise CommandError(str(misuse)) from misuse
        self.stdout.write(_state())


def _state() -> str:
    if failover_fence.is_current():
        return "The fence stands."
    if failover_fence.is_installed():
        return "A fence of other settings stands: run manage.py securecore_fence install again."
    return "There is no fence."

from __future__ import annotations

import argparse
from typing import Any

from django.core.management.base import CommandError

from securecore import database
from securecore.conf import settings
from securecore.errors import Misuse
from securecore.management.terminal import Actions, TerminalCommand
from securecore.replay import failover_fence


class Command(TerminalCommand):
    help = "Refuse, after a failover to an asynchronous standby, the nonces and proofs of before (PostgreSQL)."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        actions = Actions(parser)
        actions.add("install", help="create the fence, or bring it up to the settings in force")
        actions.add("remove", help="drop the fence")
        actions.add("status", help="say whether a fence stands")

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
        state, sentence = _state()
        self.done(sentence, fence=state)


def _state() -> tuple[str, str]:
    """Return the state of the fence as a word and as a sentence."""
    if failover_fence.is_current():
        return "current", "The fence stands."
    if failover_fence.is_installed():
        return "other settings", "A fence of other settings stands: run manage.py securecore_fence install again."
    return "none", "There is no fence."

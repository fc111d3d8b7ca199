from __future__ import annotations

import argparse
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import CommandError

from securecore.errors import Misuse
from securecore.management.terminal import TerminalCommand
from securecore.management.thumbprints import ThumbprintParser, thumbprint
from securecore.revocation import end_sessions


class Command(TerminalCommand):
    help = "End sessions, on every host at once."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, parser_class=ThumbprintParser)
        end = actions.add_parser("end", help="end the sessions of a user, of a certificate, or of all users")
        selection = end.add_mutually_exclusive_group(required=True)
        selection.add_argument("--user", help="the user's name")
        selection.add_argument(
            "--certificate", type=thumbprint, help="the certificate's thumbprint, SHA-256 of the DER in base64url"
        )
        selection.add_argument("--all", action="store_true", help="the sessions of all users")

    def handle(self, *args: Any, user: str | None, certificate: str | None, **options: Any) -> None:
        reason = "by the command securecore_sessions"
        if user is not None:
            count = end_sessions(user=_user(user), reason=reason)
        elif certificate is not None:
            if not certificate:
                raise CommandError("An empty thumbprint names no certificate.")
            try:
                count = end_sessions(thumbprint=certificate, reason=reason)
            except Misuse as error:
                raise CommandError(str(error)) from None
        else:
            count = end_sessions(everybody=True, reason=reason)
        self.say(f"{count} sessions were ended.")


def _user(name: str) -> Any:
    users = get_user_model()
    try:
        return users._default_manager.get_by_natural_key(name)
    except users.DoesNotExist:
        raise CommandError(f"There is no user {name!r}.") from None

from __future__ import annotations

import argparse
from typing import Any

from django.core.management.base import CommandError

from securecore import clock
from securecore.conf import settings
from securecore.errors import Misuse
from securecore.management.terminal import TerminalCommand, whole
from securecore.models import SigningKey
from securecore.revocation import retire_key
from securecore.tokens import keys

#: Seconds: twice the time for which other services may cache the key set (http/oauth/metadata.py).
_LEAD = 600


class Command(TerminalCommand):
    help = "List, rotate and retire the keys that sign access tokens."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        verbs.add_parser("list", help="show every key that verifies, and mark the key that signs")
        rotate = verbs.add_parser("rotate", help="make a new key; the old ones verify until their tokens have expired")
        rotate.add_argument("--algorithm", default="ES256", choices=("ES256", "EdDSA", "PS256", "RS256"))
        rotate.add_argument(
            "--lead",
            type=whole(0, 31_536_000),
            default=_LEAD,
            help="seconds for which the new key is published before it signs",
        )
        retire = verbs.add_parser("retire", help="refuse every token of a key, from now on, on every host")
        retire.add_argument("kid")

    def handle(self, *args: Any, verb: str, **options: Any) -> None:
        try:
            getattr(self, f"_{verb}")(options)
        except Misuse as error:
            raise CommandError(str(error)) from error

    def _list(self, options: dict[str, Any]) -> None:
        now = clock.now()
        signing = keys.signing_key(now).kid
        for configured in settings.TOKEN_SIGNING_KEYS:
            self._show(configured["kid"], configured["alg"], "in settings", configured["kid"] == signing)
        for stored in SigningKey.objects.using(settings.DATABASE).verifying(now).order_by("-signs_at"):
            until = f"verifies until {stored.expires_at:%Y-%m-%d %H:%M:%S}" if stored.expires_at else "no successor yet"
            when = f"signs from {stored.signs_at:%Y-%m-%d %H:%M:%S}, " if stored.signs_at > now else ""
            self._show(stored.kid, stored.algorithm, when + until, stored.kid == signing)

    def _show(self, kid: str, algorithm: str, state: str, signs: bool) -> None:
        self.say(f"{'*' if signs else ' '} {kid:32} {algorithm:6} {state}")

    def _rotate(self, options: dict[str, Any]) -> None:
        kid = keys.rotate(algorithm=options["algorithm"], lead=options["lead"], now=clock.now())
        self.say(f"Made {kid}. To see the key that signs: manage.py securecore_keys list")

    def _retire(self, options: dict[str, Any]) -> None:
        if not retire_key(options["kid"]):
            raise CommandError(self._why_not_retired(options["kid"]))
        self.say("No token of this key is accepted any more.")

    def _why_not_retired(self, kid: str) -> str:
        why = f"There is no key {kid!r} in the database that verifies."
        if any(key["kid"] == kid for key in settings.TOKEN_SIGNING_KEYS):
            why += " To retire it, remove it from SECURECORE['TOKEN_SIGNING_KEYS'] and restart the service."
        return why

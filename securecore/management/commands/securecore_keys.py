from __future__ import annotations

import argparse
import datetime as dt
from typing import Any

from django.core.management.base import CommandError

from securecore import clock
from securecore.conf import settings
from securecore.management.terminal import Actions, TerminalCommand, whole
from securecore.models import SigningKey
from securecore.revocation import retire_key
from securecore.tokens import keys

#: Seconds: twice the time for which other services may cache the key set (http/oauth/metadata.py).
_LEAD = 600


class Command(TerminalCommand):
    help = "List, rotate and retire the keys that sign access tokens."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        actions = Actions(parser)
        actions.add("list", help="show every key that verifies, and mark the key that signs")
        rotate = actions.add(
            "rotate", changes=True, help="make a new key; the old ones verify until their tokens have expired"
        )
        rotate.add_argument("--algorithm", default="ES256", choices=("ES256", "EdDSA", "PS256", "RS256"))
        rotate.add_argument(
            "--lead",
            type=whole(0, 31_536_000),
            default=_LEAD,
            help="seconds for which the new key is published before it signs",
        )
        retire = actions.add(
            "retire", changes=True, asks=True, help="refuse every token of a key, from now on, on every host"
        )
        retire.add_argument("kid")

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        getattr(self, f"_{action}")(options)

    def _list(self, options: dict[str, Any]) -> None:
        now = clock.now()
        signing = keys.signing_key(now).kid
        for configured in settings.TOKEN_SIGNING_KEYS:
            self._show(configured["kid"], configured["alg"], "in settings", signing)
        for stored in SigningKey.objects.using(settings.DATABASE).verifying(now).order_by("-signs_at"):
            until = f"verifies until {stored.expires_at:%Y-%m-%d %H:%M:%S}" if stored.expires_at else "no successor yet"
            when = f"signs from {stored.signs_at:%Y-%m-%d %H:%M:%S}, " if stored.signs_at > now else ""
            self._show(stored.kid, stored.algorithm, when + until, signing, stored.signs_at, stored.expires_at)

    def _show(self, kid: str, algorithm: str, state: str, signing: str, *instants: dt.datetime | None) -> None:
        if self._as_json:
            signs_from, verifies_until = instants or (None, None)
            self.show(
                kid=kid,
                algorithm=algorithm,
                signs=kid == signing,
                signs_from=signs_from,
                verifies_until=verifies_until,
                is_in_settings=not instants,
            )
        else:
            self.say(f"{'*' if kid == signing else ' '} {kid:32} {algorithm:6} {state}")

    def _rotate(self, options: dict[str, Any]) -> None:
        kid = keys.rotate(algorithm=options["algorithm"], lead=options["lead"], now=clock.now())
        self.done(f"Made {kid}. To see the key that signs: manage.py securecore_keys list", kid=kid)

    def _retire(self, options: dict[str, Any]) -> None:
        kid = options["kid"]
        if SigningKey.objects.using(settings.DATABASE).verifying(clock.now()).filter(pk=kid).exists():
            self.confirm(f"This refuses every token of the key {kid}.", yes=options["yes"])
        if not retire_key(kid):
            raise CommandError(self._why_not_retired(kid))
        self.done("No token of this key is accepted any more.", kid=kid)

    def _why_not_retired(self, kid: str) -> str:
        why = f"There is no key {kid!r} in the database that verifies."
        if any(key["kid"] == kid for key in settings.TOKEN_SIGNING_KEYS):
            why += " To retire it, remove it from SECURECORE['TOKEN_SIGNING_KEYS'] and restart the service."
        return why

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from securecore import clock
from securecore.conf import settings
from securecore.management.subjects import user_named
from securecore.management.terminal import Actions, TerminalCommand, whole
from securecore.models import SignatureKey
from securecore.replay import signature_keys
from securecore.revocation import revoke_signature_key
from securecore.texts import quoted_argument


class Command(TerminalCommand):
    help = "List, register and revoke the keys by which clients sign requests (HTTP message signatures)."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        actions = Actions(parser)
        listing = actions.add("list", help="list keys, the newest first")
        listing.add_argument("--user", help="only the keys of this user, by name or e-mail address")
        listing.add_argument("--revoked", action="store_true", help="only revoked keys")
        listing.add_argument("--limit", type=whole(1, 1_000_000), default=100, help="rows (%(default)s)")
        registering = actions.add("register", changes=True, help="register a public key of a user")
        registering.add_argument("keyid", help="the name of the key in Signature-Input")
        registering.add_argument("user", help="the user's name or e-mail address")
        registering.add_argument("file", help="a PEM file with the public key")
        revoking = actions.add("revoke", changes=True, help="refuse every request that a key signs, from now on")
        revoking.add_argument("keyid", help="the name of the key")

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        getattr(self, f"_{action}")(**options)

    def _list(self, *, user: str | None, revoked: bool, limit: int, **_: Any) -> None:
        rows = (
            SignatureKey.objects.using(settings.DATABASE).select_related("user").filter(revoked_at__isnull=not revoked)
        )
        rows = rows.filter(user=user_named(user)) if user is not None else rows
        for row in rows.order_by("-registered_at", "pk")[:limit]:
            self._show(row)

    def _register(self, *, keyid: str, user: str, file: str, **_: Any) -> None:
        try:
            public_key = Path(file).read_text(encoding="ascii")
        except (OSError, ValueError) as error:
            raise CommandError(f"{quoted_argument(file)} cannot be read: {error}") from None
        signature_keys.register(keyid=keyid, user=user_named(user), public_key=public_key, now=clock.now())
        self._show(SignatureKey.objects.using(settings.DATABASE).select_related("user").get(pk=keyid))

    def _revoke(self, *, keyid: str, **_: Any) -> None:
        if not revoke_signature_key(keyid):
            raise CommandError(f"No key {keyid!r} is in force. Look: securecore_signature_keys list")
        self.done(f"No request that the key {keyid} signs is accepted any more.", keyid=keyid)

    def _show(self, row: SignatureKey) -> None:
        self.show(
            keyid=row.keyid,
            user=row.user.get_username(),
            registered_at=row.registered_at,
            revoked_at=row.revoked_at,
        )

from __future__ import annotations

import argparse
import uuid
from typing import Any

from django.core.management.base import CommandError
from django.db.models import OuterRef, Subquery

from securecore import clock
from securecore.conf import settings
from securecore.http.authorization.spelling import doubt_about_client
from securecore.incidents import revoke_jti
from securecore.management.subjects import add_subjects, user_named
from securecore.management.terminal import Actions, TerminalCommand, instant, whole
from securecore.models import RefreshFamily, RefreshToken
from securecore.revocation import (
    revoke_client_tokens,
    revoke_family,
    revoke_tokens_before,
    revoke_user_tokens,
)


class Command(TerminalCommand):
    help = "List authorizations (refresh-token families), and revoke tokens, on every host at once."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        actions = Actions(parser)
        listing = actions.add("list", help="list live authorizations, the newest first; access tokens are not stored")
        add_subjects(listing, "user", "client", several=True)
        listing.add_argument("--limit", type=whole(1, 1_000_000), default=100, help="rows (%(default)s)")
        revoking = actions.add("revoke", changes=True, asks=True, help="refuse tokens from now on")
        selection = add_subjects(revoking, "user", "client")
        selection.add_argument("--family", type=uuid.UUID, help="one authorization, by the id that list shows")
        selection.add_argument("--jti", help="one access token, by its jti")
        selection.add_argument("--before", type=instant, help="every token that was issued until this instant")
        selection.add_argument("--all", action="store_true", help="every token that was issued until now")

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        if action == "list":
            self._list(**options)
        else:
            revoked = self._revoke(**options)
            self.done(f"Refused from now on: {revoked}.", revoked=revoked)

    def _list(self, *, user: str | None, client: str | None, limit: int, **_: Any) -> None:
        rows = RefreshFamily.objects.using(settings.DATABASE).alive(clock.now()).select_related("user")
        rows = rows.filter(user=user_named(user)) if user is not None else rows
        rows = rows.filter(client_id=client) if client is not None else rows
        used = RefreshToken.objects.filter(family=OuterRef("pk"), used_at__isnull=False).order_by("-used_at")
        last_used = Subquery(used.values("used_at")[:1])
        for row in rows.annotate(last_used=last_used).order_by("-created_at", "pk")[:limit]:
            self.show(
                family=row.pk,
                user=row.user.get_username(),
                client=row.client_id,
                binding=row.binding,
                certificate=row.certificate_id,
                created_at=row.created_at,
                last_used_at=getattr(row, "last_used"),  # noqa: B009 - an annotation
                expires_at=row.expires_at,
            )

    def _revoke(self, *, user: str | None, client: str | None, **options: Any) -> str:
        if user is not None:
            revoke_user_tokens(user_named(user))
            return f"the tokens of the user {user}"
        if client is not None:
            if doubt := doubt_about_client(client):
                self.say(doubt, error=True)
            revoke_client_tokens(client)
            return f"the tokens of the client {client}"
        if options["family"] is not None:
            if not revoke_family(options["family"]):
                raise CommandError(f"There is no live authorization {options['family']}.")
            return f"the authorization {options['family']}"
        if options["jti"] is not None:
            return self._revoke_jti(options["jti"])
        before = options["before"] or clock.now()
        self.confirm(f"This refuses every token of everyone from before {before.isoformat()}.", yes=options["yes"])
        revoke_tokens_before(before)
        return f"every token from before {before.isoformat()}"

    def _revoke_jti(self, jti: str) -> str:
        done = revoke_jti(jti)
        if done.doubt:
            self.say(done.doubt, error=True)
        anyway = "anyway " if done.doubt else ""
        before = "" if done.was_live else ", as it was before"
        return f"the access token {jti}, {anyway}until {done.until.isoformat(timespec='seconds')}{before}"

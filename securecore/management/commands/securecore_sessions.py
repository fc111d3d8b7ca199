from __future__ import annotations

import argparse
import uuid
from typing import Any

from django.core.management.base import CommandError

from securecore import clock
from securecore.conf import settings
from securecore.management.subjects import add_subjects, thumbprint_named, user_named
from securecore.management.terminal import Actions, TerminalCommand, whole
from securecore.models import Session
from securecore.revocation import end_selected_sessions, end_sessions
from securecore.texts import counted

_REASON = "by the command securecore_sessions"


class Command(TerminalCommand):
    help = "List and end sessions, on every host at once."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        actions = Actions(parser)
        listing = actions.add("list", help="list live sessions, the last used first")
        add_subjects(listing, "user", "certificate", several=True)
        listing.add_argument("--limit", type=whole(1, 1_000_000), default=100, help="rows (%(default)s)")
        ending = actions.add("end", changes=True, asks=True, help="end sessions; --all asks for a confirmation")
        selection = add_subjects(ending, "user", "certificate")
        selection.add_argument("--id", type=uuid.UUID, help="one session, by the id that list shows")
        selection.add_argument("--all", action="store_true", help="the sessions of all users")

    def handle(self, *args: Any, action: str, user: str | None, certificate: str | None, **options: Any) -> None:
        if certificate == "":
            raise CommandError("An empty thumbprint names no certificate.")
        owner = user_named(user) if user is not None else None
        thumbprint = thumbprint_named(certificate) if certificate is not None else ""
        if action == "list":
            self._list(owner, thumbprint, options["limit"])
        else:
            count = self._end(owner, thumbprint, options)
            self.done(f"{counted(count, 'session was ended', 'sessions were ended')}.", ended=count)

    def _list(self, owner: Any, thumbprint: str, limit: int) -> None:
        rows = Session.objects.using(settings.DATABASE).live(clock.now()).select_related("user")
        rows = rows.for_user(owner) if owner is not None else rows
        rows = rows.of_certificate(thumbprint) if thumbprint else rows
        for row in rows.order_by("-last_seen_at", "pk")[:limit]:
            self.show(
                id=row.pk,
                user=row.user.get_username() if row.user else None,
                certificate=row.certificate,
                address=row.address,
                device=row.device,
                created_at=row.created_at,
                last_seen_at=row.last_seen_at,
                expires_at=row.expires_at,
            )

    def _end(self, owner: Any, thumbprint: str, options: dict[str, Any]) -> int:
        rows = Session.objects.using(settings.DATABASE)
        reason = options["reason"] or _REASON
        if options["id"] is not None:
            count = end_selected_sessions(rows.filter(pk=options["id"]), reason=reason)
            if count == 0:
                raise CommandError(f"No live session has the id {options['id']}: securecore_sessions list shows them.")
            return count
        if owner is not None or thumbprint:
            return end_sessions(user=owner, thumbprint=thumbprint, reason=reason)
        live = rows.live(clock.now()).count()
        self.confirm(f"This ends {counted(live, 'live session')}: all there are, also yours.", yes=options["yes"])
        return end_sessions(everybody=True, reason=reason)

from __future__ import annotations

import argparse
import datetime as dt
import json
from functools import lru_cache
from typing import Any

from django.core.management.base import CommandError
from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import Q, QuerySet

from securecore import audit, clock
from securecore.audit.chain import COLUMNS
from securecore.audit.refusals import since
from securecore.conf import settings
from securecore.events import every_event
from securecore.grants import principals
from securecore.grants.principal_names import described
from securecore.management.subjects import add_subjects, subjects_of, user_named
from securecore.management.terminal import Actions, TerminalCommand, instant, whole
from securecore.models import AuditRow, Certificate, RefreshFamily, SignatureKey
from securecore.texts import counted, near

#: A user's authorizations in one query. A program may have a new one for each of its runs.
_MOST_FAMILIES = 1_000
_FILTERS = ("event", "subject", "actor", "request_id")


class Command(TerminalCommand):
    help = "List and export the audit, verify its hash chain, and count refusals."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        actions = Actions(parser)
        listing = actions.add("list", help="list rows, the newest first")
        listing.add_argument("--limit", type=whole(1, 1_000_000), default=50, help="rows (%(default)s)")
        exporting = actions.add("export", help="write every row as a line of JSON, in the order of the chain")
        exporting.add_argument("--after", type=whole(0, 2**62), default=0, help="only rows behind this position")
        for action in (listing, exporting):
            add_subjects(action, "user", "client", "certificate", several=True)
            action.add_argument("--event", help="only this event, for example securecore.grants.grant-given")
            action.add_argument("--subject", help="only this subject, for example user:7 or certificate:THUMBPRINT")
            action.add_argument("--actor", help="only this actor, for example user:7")
            action.add_argument("--request-id", help="only this request")
            action.add_argument("--since", type=instant, help="not before this instant, as ISO 8601 with a time zone")
            action.add_argument("--until", type=instant, help="before this instant")
        verifying = actions.add("verify", help="recompute the chain; exit code 1 if it is broken")
        verifying.add_argument("--anchor", type=_head, help="a head that was copied before, POSITION:DIGEST")
        actions.add("head", help="seal new rows and print the head of the chain")
        refusing = actions.add("refusals", help="count the refusals of the last minutes by code and reason")
        refusing.add_argument(
            "--minutes", type=whole(1, 60 * 24 * 35), default=60, help="the number of minutes (%(default)s)"
        )

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        getattr(self, f"_{action}")(**options)

    def _list(self, *, limit: int, **options: Any) -> None:
        known_as = lru_cache(maxsize=10_000)(described)
        for row in _selected(**options).order_by("-id")[:limit]:
            if self._as_json:
                self._write(_members(row))
                continue
            self.show(
                at=row.at,
                event=row.event,
                subject=known_as(row.subject),
                actor=" ".join(filter(None, (row.actor_kind, known_as(row.actor), row.address))),
                request_id=row.request_id,
                reason=row.reason,
                payload=json.dumps(row.payload, ensure_ascii=False),
            )

    def _export(self, *, after: int, **options: Any) -> None:
        audit.seal()
        for row in _selected(**options).filter(position__gt=after).order_by("position").iterator(chunk_size=2_000):
            self._write(_members(row))

    def _verify(self, *, anchor: audit.Head | None, **options: Any) -> None:
        found = audit.verify(anchor)
        if self._as_json:
            self.show(faults=found.faults, first=found.first, head=str(found.head), unsealed=found.unsealed)
        else:
            for fault in found.faults:
                self.say(fault, error=True)
            self.say(f"rows {found.first} to {found.head.position}, {found.unsealed} unsealed, head {found.head}")
        if found.faults:
            raise CommandError(f"The chain is broken: {counted(len(found.faults), 'fault')}.", returncode=1)

    def _head(self, **options: Any) -> None:
        audit.seal()
        head = audit.head()
        self.done(str(head), position=head.position, digest=head.digest)

    def _refusals(self, *, minutes: int, **options: Any) -> None:
        counted = since(clock.now() - dt.timedelta(minutes=minutes))
        for code, reason, count in counted:
            self.show(count=count, code=code, reason=reason)
        if not counted and not self._is_silent:
            self.say(
                "No refusal was counted in this time. Each process writes its counts once a minute: for the last "
                "minute look into the log, grep request-refused.",
                error=True,
            )

    def _write(self, members: dict[str, Any]) -> None:
        self.say(json.dumps(members, cls=DjangoJSONEncoder))


def _selected(*, since: dt.datetime | None, until: dt.datetime | None, **options: Any) -> QuerySet[AuditRow]:
    rows = AuditRow.objects.using(settings.DATABASE)
    options["event"] = _event_named(options["event"])
    rows = rows.filter(**{name: options[name] for name in _FILTERS if options[name] is not None})
    if named := subjects_of(options):
        names = [*named, *_owned_by(options["user"])]
        rows = rows.filter(Q(subject__in=names) | Q(actor__in=named))
    rows = rows.filter(at__gte=since) if since else rows
    return rows.filter(at__lt=until) if until else rows


def _event_named(text: str | None) -> str | None:
    """Return the whole name of an event: ``tokens.token-revoked`` is enough. Raises ``CommandError`` for no event."""
    known = {event.name for event in every_event()}
    if text is None or text in known or AuditRow.objects.using(settings.DATABASE).filter(event=text).exists():
        return text
    if f"securecore.{text}" in known:
        return f"securecore.{text}"
    raise CommandError(f"No event is called {text!r}.{near(text, known)}")


def _owned_by(user: str | None) -> list[str]:
    """Return the certificates, signature keys and newest authorizations of a user, which have rows of their own."""
    if user is None:
        return []
    owner, alias = user_named(user), settings.DATABASE
    certificates = Certificate.objects.using(alias).filter(user=owner)
    keys = SignatureKey.objects.using(alias).filter(user=owner)
    families = RefreshFamily.objects.using(alias).filter(user=owner).order_by("-created_at")[:_MOST_FAMILIES]
    return [
        *(principals.certificate(row.pk) for row in certificates),
        *(f"signature-key:{row.pk}" for row in keys),
        *(f"family:{row.pk}" for row in families),
    ]


def _members(row: AuditRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in (*COLUMNS, "position", "previous", "digest")}


def _head(text: str) -> audit.Head:
    position, _, digest = text.partition(":")
    if not position.isdecimal() or len(digest) != (43 if int(position) else 0):  # an empty audit has the head "0:"
        raise argparse.ArgumentTypeError("write POSITION:DIGEST, as securecore_audit head prints it")
    return audit.Head(int(position), digest)

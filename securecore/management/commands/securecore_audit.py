from __future__ import annotations

import argparse
import datetime as dt
import json
from typing import Any

from django.core.management.base import CommandError
from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import QuerySet
from django.utils.dateparse import parse_datetime

from securecore import audit, clock
from securecore.audit.chain import COLUMNS
from securecore.audit.refusals import since
from securecore.conf import settings
from securecore.management.terminal import TerminalCommand, whole
from securecore.models import AuditRow

_FILTERS = ("event", "subject", "actor", "request_id")


class Command(TerminalCommand):
    help = "List and export the audit, verify its hash chain, and count refusals."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        listing = actions.add_parser("list", help="list rows, the newest first")
        listing.add_argument("--limit", type=whole(1, 1_000_000), default=50, help="rows (%(default)s)")
        exporting = actions.add_parser("export", help="write every row as a line of JSON, in the order of the chain")
        exporting.add_argument("--after", type=whole(0, 2**62), default=0, help="only rows behind this position")
        for command in (listing, exporting):
            command.add_argument("--event", help="only this event, for example securecore.grants.grant-given")
            command.add_argument("--subject", help="only this subject, for example user:7 or certificate:THUMBPRINT")
            command.add_argument("--actor", help="only this actor, for example user:7")
            command.add_argument("--request-id", help="only this request")
            command.add_argument("--since", type=_instant, help="not before this instant, as ISO 8601 with a time zone")
            command.add_argument("--until", type=_instant, help="before this instant")
        verifying = actions.add_parser("verify", help="recompute the chain; exit code 1 if it is broken")
        verifying.add_argument("--anchor", type=_head, help="a head that was copied before, POSITION:DIGEST")
        heading = actions.add_parser("head", help="seal new rows and print the head of the chain")
        refusing = actions.add_parser("refusals", help="count the refusals of the last minutes by code and reason")
        refusing.add_argument("--minutes", type=whole(1, 60 * 24 * 35), default=60)
        for command in (listing, verifying, heading, refusing):
            command.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        getattr(self, f"_{action}")(**options)

    def _list(self, *, limit: int, **options: Any) -> None:
        for row in _selected(**options).order_by("-id")[:limit]:
            if options["json"]:
                self._write(_members(row))
            else:
                actor = " ".join(filter(None, (row.actor_kind, row.actor, row.address)))
                self.say(
                    row.at.isoformat(timespec="seconds"), row.event, row.subject, actor, row.request_id, row.reason
                )

    def _export(self, *, after: int, **options: Any) -> None:
        audit.seal()
        for row in _selected(**options).filter(position__gt=after).order_by("position").iterator(chunk_size=2_000):
            self._write(_members(row))

    def _verify(self, *, anchor: audit.Head | None, **options: Any) -> None:
        found = audit.verify(anchor)
        if options["json"]:
            members = {
                "faults": found.faults,
                "first": found.first,
                "head": str(found.head),
                "unsealed": found.unsealed,
            }
            self._write(members)
        else:
            for fault in found.faults:
                self.say(fault, error=True)
            self.say(f"rows {found.first} to {found.head.position}, {found.unsealed} unsealed, head {found.head}")
        if found.faults:
            raise CommandError(f"The chain is broken: {len(found.faults)} faults.", returncode=1)

    def _head(self, **options: Any) -> None:
        audit.seal()
        head = audit.head()
        if options["json"]:
            self._write({"position": head.position, "digest": head.digest})
        else:
            self.say(str(head))

    def _refusals(self, *, minutes: int, **options: Any) -> None:
        for code, reason, count in since(clock.now() - dt.timedelta(minutes=minutes)):
            if options["json"]:
                self._write({"code": code, "reason": reason, "count": count})
            else:
                self.say(str(count), code, reason)

    def _write(self, members: dict[str, Any]) -> None:
        self.say(json.dumps(members, cls=DjangoJSONEncoder))


def _selected(*, since: dt.datetime | None, until: dt.datetime | None, **options: Any) -> QuerySet[AuditRow]:
    rows = AuditRow.objects.using(settings.DATABASE)
    rows = rows.filter(**{name: options[name] for name in _FILTERS if options[name] is not None})
    rows = rows.filter(at__gte=since) if since else rows
    return rows.filter(at__lt=until) if until else rows


def _members(row: AuditRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in (*COLUMNS, "position", "previous", "digest")}


def _instant(text: str) -> dt.datetime:
    instant = parse_datetime(text)
    if instant is None or instant.utcoffset() is None:
        raise argparse.ArgumentTypeError("write an instant with a time zone, for example 2026-11-28T08:00:00Z")
    return instant


def _head(text: str) -> audit.Head:
    position, _, digest = text.partition(":")
    if not position.isdecimal() or len(digest) != 43:
        raise argparse.ArgumentTypeError("write POSITION:DIGEST, as securecore_audit head prints it")
    return audit.Head(int(position), digest)

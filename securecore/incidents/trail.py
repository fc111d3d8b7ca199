"""The rows that name a certificate, a user or an authorization: sessions, tokens, keys and audit rows, by time.

A request that only reads, or that writes to a table of the project alone, leaves no row here: the access log of the
proxy has it, by thumbprint or serial number. An idempotency record names its caller by a digest, so it is not found.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from django.db.models import Q

from securecore import identity
from securecore.conf import settings
from securecore.grants import principals
from securecore.models import AuditRow, RefreshFamily, RefreshToken, Session, SignatureKey

#: Rows of each kind. An operator reads them; ``securecore_audit list`` has all.
_MOST = 1_000


@dataclass(frozen=True)
class Fact:
    """One row of the trail. ``kind`` is ``session``, ``authorization``, ``refresh``, ``signature-key`` or an event."""

    at: dt.datetime
    kind: str
    subject: str
    detail: str


def of_certificate(thumbprint: str, *, user: Any, since: dt.datetime) -> list[Fact]:
    """Return the trail of the certificate since an instant, and the audit rows of its user."""
    known = Q(certificate=thumbprint) | Q(certificate__in=identity.thumbprints_of(thumbprint))
    sessions = Session.objects.using(settings.DATABASE).filter(known | Q(binding=f"x5t#S256:{thumbprint}"))
    families = RefreshFamily.objects.using(settings.DATABASE).filter(known)
    names = [principals.certificate(thumbprint)]
    keys: Iterable[SignatureKey] = ()
    if user is not None:
        names.append(principals.principal_of(user))
        keys = SignatureKey.objects.using(settings.DATABASE).filter(user=user, registered_at__gte=since)
    facts = [*_sessions(sessions, since), *_families(families, since), *_keys(keys), *_audit(names, since)]
    return sorted(facts, key=lambda fact: fact.at)


def of_family(family: uuid.UUID | None, *, user: str | None, since: dt.datetime) -> list[Fact]:
    """Return the trail of an authorization since an instant, and the audit rows of its user."""
    families = RefreshFamily.objects.using(settings.DATABASE).filter(pk__in=[family] if family else [])
    names = [f"family:{family}", *([user] if user else [])]
    return sorted([*_families(families, since), *_audit(names, since)], key=lambda fact: fact.at)


def _sessions(rows: Any, since: dt.datetime) -> Iterator[Fact]:
    for row in rows.filter(last_seen_at__gte=since).order_by("-last_seen_at")[:_MOST]:
        seen = row.last_seen_at.isoformat(timespec="seconds")
        yield Fact(row.created_at, "session", _user(row), f"from {row.address or '-'} {row.device}, last seen {seen}")


def _families(rows: Any, since: dt.datetime) -> Iterator[Fact]:
    recent = rows.filter(Q(created_at__gte=since) | Q(tokens__used_at__gte=since)).distinct()
    for row in recent.order_by("-created_at")[:_MOST]:
        yield Fact(row.created_at, "authorization", _user(row), f"family {row.pk} of the client {row.client_id}")
    used = RefreshToken.objects.using(settings.DATABASE).filter(family__in=rows, used_at__gte=since)
    for token in used.select_related("family").order_by("-used_at")[:_MOST]:
        if token.used_at is not None:
            yield Fact(token.used_at, "refresh", _user(token.family), f"family {token.family_id}")


def _keys(rows: Iterable[SignatureKey]) -> Iterator[Fact]:
    for row in rows:
        yield Fact(row.registered_at, "signature-key", _user(row), f"key {row.keyid} was registered")


def _audit(names: list[str], since: dt.datetime) -> Iterator[Fact]:
    rows = AuditRow.objects.using(settings.DATABASE).filter(Q(subject__in=names) | Q(actor__in=names), at__gte=since)
    for row in rows.order_by("-id")[:_MOST]:
        payload = " ".join(f"{name}={value}" for name, value in row.payload.items() if value not in ("", None))
        by = " ".join(filter(None, (row.actor_kind, row.actor, row.address)))
        request = f" request {row.request_id}" if row.request_id else ""
        yield Fact(row.at, row.event.removeprefix("securecore."), row.subject, f"by {by}{request}: {payload}")


def _user(row: Any) -> str:
    return f"user:{row.user_id}" if row.user_id is not None else "-"

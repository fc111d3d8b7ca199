"""Write the audit row of an event, in the transaction of the change that the event describes."""

from __future__ import annotations

import dataclasses
import datetime as dt
from functools import partial
from typing import Any

from django.db import transaction

from securecore import actors, clock, database, events
from securecore.audit.models import AuditRow
from securecore.conf import settings
from securecore.errors import Misuse
from securecore.events import Event

#: The field of an event that names the subject of the change, and the prefix of its name. The first one counts.
_SUBJECTS = (
    ("principal", ""),
    ("subject", ""),
    ("thumbprint", "certificate:"),
    ("keyid", "signature-key:"),
    ("kid", "signing-key:"),
    ("family", "family:"),
    ("client_id", "service:"),
    ("user", "user:"),
    ("jti", "token:"),
    ("record", "idempotency:"),
)


def write(event: Event) -> AuditRow:
    """Insert the audit row of ``event``. The caller emits the event after the commit.

    The row names the actor and the reason of ``acting``. Raises ``Misuse`` outside a transaction: the row and the
    change must commit together.
    """
    if not database.connection().in_atomic_block:
        raise Misuse(f"audit.write({type(event).__name__}) needs the transaction of the change: use it in atomic().")
    payload = {field.name: getattr(event, field.name) for field in dataclasses.fields(event)}
    now, actor = clock.now(), actors.actor()
    return AuditRow.objects.using(settings.DATABASE).create(
        at=now,
        event=event.name,
        subject=_subject(payload),
        actor_kind=actor.kind,
        actor=actor.name[:255],
        address=actor.address[:255],
        request_id=actor.request_id[:64],
        reason=actors.reason(),
        payload=payload,
        expires_at=now + dt.timedelta(seconds=settings.HISTORY_RETENTION),
    )


def report(event: Event) -> None:
    """Insert the audit row of ``event`` now, and emit the event once the transaction has committed."""
    write(event)
    transaction.on_commit(partial(events.emit, event), using=settings.DATABASE)


def _subject(payload: dict[str, Any]) -> str:
    for name, prefix in _SUBJECTS:
        if payload.get(name):
            return f"{prefix}{payload[name]}"[:255]
    return ""

"""Write the audit row of an event, in the transaction of the change that the event describes."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import transaction

from securecore import actors, clock, database, events
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
    ("session", "session:"),
    ("jti", "token:"),
    ("record", "idempotency:"),
)

#: Writes a further row about the event of an audit row, in the same transaction.
Companion = Callable[[Event], None]
_companion: ContextVar[Companion | None] = ContextVar("securecore_audit_companion", default=None)

#: By hand, since Django's ``create()`` took 400 us and this statement 180 us, of which most is the round trip.
_INSERT = (
    "INSERT INTO securecore_audit (at, event, subject, actor_kind, actor, address, request_id, reason, payload, "
    "expires_at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
)


def write(event: Event) -> None:
    """Insert the audit row of ``event``. The caller emits the event after the commit.

    The row names the actor and the reason of ``acting``. Raises ``Misuse`` outside a transaction: the row and the
    change must commit together.
    """
    connection = database.connection()
    if not connection.in_atomic_block:
        raise Misuse(f"audit.write({type(event).__name__}) needs the transaction of the change: use it in atomic().")
    payload = {field.name: getattr(event, field.name) for field in dataclasses.fields(event)}
    now, actor = clock.now(), actors.actor()
    instant = connection.ops.adapt_datetimefield_value
    row = (
        instant(now),
        event.name,
        _subject(payload),
        actor.kind,
        actor.name[:255],
        actor.address[:255],
        actor.request_id[:64],
        actors.reason(),
        json.dumps(payload, cls=DjangoJSONEncoder),
        instant(now + dt.timedelta(seconds=settings.HISTORY_RETENTION)),
    )
    with connection.cursor() as cursor:
        cursor.execute(_INSERT, row)
    if (companion := _companion.get()) is not None:
        companion(event)


@contextmanager
def accompanied(companion: Companion) -> Iterator[None]:
    """Call ``companion`` with the event of each audit row of the block, in the transaction of the row.

    The admin writes its own log of actions so: change, audit row and log entry commit together or not at all.
    """
    token = _companion.set(companion)
    try:
        yield
    finally:
        _companion.reset(token)


def report(event: Event) -> None:
    """Insert the audit row of ``event`` now, and emit the event once the transaction has committed."""
    write(event)
    transaction.on_commit(partial(events.emit, event), using=settings.DATABASE)


def _subject(payload: dict[str, Any]) -> str:
    for name, prefix in _SUBJECTS:
        if payload.get(name):
            return prefix + str(payload[name]).removeprefix(prefix)[: 255 - len(prefix)]
    return ""

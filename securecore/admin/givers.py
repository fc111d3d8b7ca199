"""The giver of grants and the reason, which the audit has: a grant's row names neither."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from securecore.conf import settings
from securecore.events import GrantGiven
from securecore.models import AuditRow, Grant

#: Audit rows that one page reads. A principal with more grants than that shows the givers of some.
_MOST = 5_000


def read_givers(rows: Sequence[Grant]) -> dict[int, tuple[str, str]]:
    """Return actor and reason by the primary key of each grant, as far as the audit still has its row."""
    if not rows:
        return {}
    given = AuditRow.objects.using(settings.DATABASE).filter(
        subject__in={row.principal for row in rows},
        event=GrantGiven.name,
        at__gte=min(row.granted_at for row in rows),
    )
    found: dict[Any, list[AuditRow]] = {}
    for each in given[:_MOST]:
        found.setdefault(_key_of(each), []).append(each)
    givers = {}
    for row in rows:
        later = [each for each in found.get(_key(row), ()) if each.at >= row.granted_at]
        if later:  # The permission may have been granted again since; the oldest event created this row.
            first = min(later, key=lambda each: each.at)
            givers[row.pk] = (first.actor or first.actor_kind, first.reason)
    return givers


def _key(row: Grant) -> tuple[str, str, str, bool]:
    return row.principal, row.permission, ":".join(filter(None, (row.object_type, row.object_id))), row.denies


def _key_of(row: AuditRow) -> tuple[str, str, str, bool]:
    payload = row.payload
    return row.subject, payload.get("permission", ""), payload.get("object", ""), bool(payload.get("denies"))

"""End sessions for a revocation, an operator or the limit, and return the events of the ends.

A logout is not here: it ends one session of its own request (``lifecycle.close``).
"""

from __future__ import annotations

from collections.abc import Sequence

from django.db.models import Count

from securecore import events
from securecore.sessions.models import Session, SessionQuerySet

#: The most audit rows of one end. 100 rows take about 20 ms, during which the gates of the users stay closed.
MOST_ROWS = 100


def end_reported(rows: SessionQuerySet, *, reason: str) -> tuple[int, Sequence[events.Event]]:
    """End the sessions in ``rows``; return their number, and the events for the audit.

    Up to ``MOST_ROWS`` sessions have an event each, with the certificate, address and device of the session. More have
    an event for each user; the users beyond ``MOST_ROWS`` share the last event. Must run in a transaction, in which the
    caller writes the events.
    """
    # The lock keeps a logout at the same time from ending a session that these events name.
    few = list(rows.select_for_update(of=("self",))[: MOST_ROWS + 1])
    if len(few) <= MOST_ROWS:
        return rows.end(), [_event(row, reason) for row in few]
    users = list(
        rows.order_by().values("user_id").annotate(count=Count("pk")).values_list("user_id", "count")[:MOST_ROWS]
    )
    ended = rows.end()
    found: list[events.Event] = [
        events.SessionsEnded(subject=principal_of_key(user), count=count, reason=reason) for user, count in users
    ]
    rest = ended - sum(count for _, count in users)
    if rest > 0:
        found.append(events.SessionsEnded(subject="further users", count=rest, reason=reason))
    return ended, found


def _event(row: Session, reason: str) -> events.SessionEnded:
    return events.SessionEnded(
        user=principal_of_key(row.user_id),
        session=str(row.pk),
        certificate=row.certificate or None,
        address=row.address,
        device=row.device,
        reason=reason,
    )


def principal_of_key(user: object) -> str:
    """Return the principal of a session's user, or an empty string for an anonymous session."""
    # Spelled here, because a feature does not import its neighbour ``grants``.
    return "" if user is None else f"user:{user}"

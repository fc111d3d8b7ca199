"""What the one statement said, kept as values."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Any

from securecore.access import statement
from securecore.access.statement import WIDTHS, Presented
from securecore.access.users import user_table
from securecore.sessions.statements import Found


@dataclass(frozen=True, slots=True)
class Enrolled:
    """A certificate's row. ``user`` is the name of a user in ``Snapshot.users``."""

    thumbprint: str
    user: Any
    is_self_signed: bool
    revoked_at: Any


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was true of ``presented`` at one instant. Nothing in it can be changed, so that requests may share it."""

    presented: Presented
    certificates: dict[str, Enrolled] = field(default_factory=dict)
    session: Found | None = None
    session_ends_soon: bool = False
    #: The user that the token names; None if the token is no longer wanted.
    subject: Any = None
    #: The columns of each user by primary key, as the database spells it.
    users: dict[Any, tuple[Any, ...]] = field(default_factory=dict)
    #: What each of them may do, as JSON; only ``has_perm()`` reads it.
    granted: dict[Any, str | None] = field(default_factory=dict)

    @property
    def may_be_shared(self) -> bool:
        """Whether the next request may be told the same: not if this one has to write something into its session."""
        found = self.session
        return found is None or not (found.long_unseen or found.outdated or self.session_ends_soon)


def read(presented: Presented, now: dt.datetime) -> Snapshot:
    """Ask the database about ``presented``, in one statement."""
    users, parts, token = user_table(), presented.parts, presented.token
    rows = [_split(row, parts) for row in statement.rows(presented, now, users)]
    first, key_index = rows[0], users.key_index
    known = [row for row in rows if row["user"][key_index] is not None]
    session = first.get("session")
    return Snapshot(
        presented,
        certificates={row["certificate"][0]: Enrolled(*row["certificate"]) for row in rows if row.get("certificate")},
        session=Found(*session[:-1]) if session else None,
        session_ends_soon=bool(session and session[-1]),
        subject=statement.of_token(token, users)["subject"] if token and _is_wanted(first) else None,
        users={row["user"][key_index]: row["user"] for row in known},
        granted={row["user"][key_index]: row["granted"] for row in known},
    )


def _is_wanted(row: dict[str, Any]) -> bool:
    (is_revoked,), (family_lives,), (key_verifies,) = row["token"], row.get("family", [True]), row.get("key", [True])
    # A family must be there: a purged one has no tokens that live.
    return bool(not is_revoked and family_lives and key_verifies)


def _split(row: tuple[Any, ...], parts: tuple[str, ...]) -> dict[str, Any]:
    """Cut a row into its parts. Of a certificate or session that is not there nothing is left."""
    found: dict[str, Any] = {}
    start = 0
    for part in parts:
        found[part] = row[start : start + WIDTHS[part]]
        start += WIDTHS[part]
        if found[part][0] is None:
            del found[part]
    return found | {"granted": row[start], "user": row[start + 1 :]}

"""``Snapshot``: the rows of the one query, as values that never change.

``query`` composes the SQL, ``request`` judges the values.
"""

from __future__ import annotations

import datetime as dt
from typing import Any, NamedTuple

from securecore import database
from securecore.caches import BoundedCache
from securecore.caller import query
from securecore.caller.query import Presented
from securecore.caller.user_table import UserTable, user_table
from securecore.conf import settings
from securecore.grants.query.effective import Granted
from securecore.sessions.statements import SessionRow


class Enrolled(NamedTuple):
    """A certificate's row. ``user`` is a key of ``Snapshot.users``."""

    thumbprint: str
    user: Any
    is_self_signed: bool
    revoked_at: Any


class Registration(NamedTuple):
    """The row of a registered OAuth client. ``user`` is a key of ``Snapshot.users``, as in ``Enrolled``."""

    client_id: str
    user: Any
    certificate_name: str


class Snapshot(NamedTuple):
    """The result of the one query for one request, at one instant.

    Later requests of the same caller share this object, so only this package holds a reference. A request gets new user
    objects from ``user()``, and immutable values.
    """

    table: UserTable
    certificates: dict[str, Enrolled]
    session: SessionRow | None
    session_ends_soon: bool
    #: The primary key of the user that the token names; None without a token or for a revoked token.
    subject: Any
    #: The registered client that the token names; None without a token or for an unregistered client.
    client: Registration | None
    #: The columns of each user, by primary key in the form of the database.
    users: dict[Any, tuple[Any, ...]]
    #: The grants of each user as JSON. Only ``has_perm()`` parses this.
    granted: dict[Any, str | None]

    def user(self, key: Any) -> Any:
        """Return a new user object, which shares no mutable value with the user object of another request."""
        user = self.table.user(self.users[key])
        user.securecore_granted = Granted(self.granted[key])
        return user

    @property
    def may_be_shared(self) -> bool:
        """Say whether the next request may use this snapshot.

        It may not if this request must write to the session's row, nor if the session expires within the lease.
        """
        row = self.session
        return row is None or not (row.long_unseen or row.outdated or self.session_ends_soon)


class _Asked:
    """The bound query for one ``Presented``, and its last result."""

    __slots__ = ("answered", "places", "presented", "question", "table")

    def __init__(self, presented: Presented, table: UserTable) -> None:
        self.presented, self.table = presented, table
        self.question = query.question(presented, table)
        self.places = query.places(presented.parts)
        #: The last rows, and the snapshot built from them.
        self.answered: tuple[list[tuple[Any, ...]], Snapshot] | None = None

    def snapshot(self, now: dt.datetime, users: dict[Any, Any]) -> Snapshot:
        connection, answered = database.connection(), self.answered

        def made_ahead() -> None:
            if answered is not None and self.table.is_made_without_statements:
                users.update((key, answered[1].user(key)) for key in answered[1].users)

        # The database layer returns the same list again if every byte of the result is the same.
        instants = query.instants(self.presented, now, connection)
        rows = self.question.with_new(instants).rows(connection, made_ahead)
        if answered is None or answered[0] is not rows:
            users.clear()
            self.answered = answered = rows, self._snapshot_of(rows)
        return answered[1]

    def _snapshot_of(self, rows: list[tuple[Any, ...]]) -> Snapshot:
        places, first = self.places, rows[0]
        certificates, users, granted = {}, {}, {}
        for row in rows:
            columns = row[places["user"]]
            key = columns[self.table.key_index]
            if key is not None:
                users[key] = columns
                (granted[key],) = row[places["granted"]]
            if "certificate" in places:
                enrolled = Enrolled(*row[places["certificate"]])
                if enrolled.thumbprint is not None:
                    certificates[enrolled.thumbprint] = enrolled
        session, ends_soon = None, False
        if "session" in places:
            *columns_of_session, ends_soon = first[places["session"]]
            session = None if columns_of_session[0] is None else SessionRow(*columns_of_session)
        token, subject = self.presented.token, None
        if token is not None and _is_wanted(first, places, certificates.get(token.certificate)):
            subject = self.question.parameters["subject"]
        client = Registration(*first[places["client"]]) if "client" in places and first[places["client"]][0] else None
        return Snapshot(self.table, certificates, session, bool(ends_soon), subject, client, users, granted)


#: The query about one set of credentials never changes. Its last snapshot is used again only if PostgreSQL sent the
#: same bytes. So the key needs no schema of a tenant: the rows of another schema are other bytes, or equal users.
_asked: BoundedCache[_Asked] = BoundedCache()


def read(presented: Presented, now: dt.datetime, users: dict[Any, Any]) -> Snapshot:
    """Run the one query for ``presented``.

    While PostgreSQL works, this builds user objects from the last result, which takes about as long. If the result is
    the same again, ``users`` holds these objects by primary key; else ``users`` is empty.
    """
    table = user_table()
    if table.is_filtered:  # the manager's condition may be another one for each request
        return _Asked(presented, table).snapshot(now, users)
    name = presented, table, settings.DJANGO_PERMISSIONS
    asked = _asked.get(name)
    if asked is None:
        asked = _Asked(presented, table)
        _asked.put(name, asked)
    return asked.snapshot(now, users)


def _is_wanted(row: tuple[Any, ...], places: dict[str, slice], obtained_under: Enrolled | None) -> bool:
    if obtained_under is not None and obtained_under.revoked_at is not None:
        return False
    (is_revoked,) = row[places["token"]]
    (certificate_is_revoked,) = row[places["obtained"]] if "obtained" in places else (False,)
    # A missing family counts as revoked: a family is purged only after its last access token has expired.
    (family_lives,) = row[places["family"]] if "family" in places else (True,)
    (key_verifies,) = row[places["key"]] if "key" in places else (True,)
    return bool(not is_revoked and not certificate_is_revoked and family_lives and key_verifies)

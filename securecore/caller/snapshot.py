"""``Snapshot``: the rows of the one query, as values that never change.

``query`` composes the SQL, ``presented`` judges the values.
"""

from __future__ import annotations

import datetime as dt
from typing import Any, NamedTuple

from securecore import database
from securecore.caller import query
from securecore.caller.query import Lookup
from securecore.caller.user_table import UserTable, user_table
from securecore.database.statements import Rows
from securecore.grants.query.effective import Granted
from securecore.identity.statements import Enrolment
from securecore.sessions.statements import SessionRow
from securecore.tokens.statements import Registration


class Snapshot(NamedTuple):
    """The result of the one query for one request, at one instant.

    Under a lease later requests of the same caller share this object, so only this package holds a reference. A request
    gets new user objects from ``user()``, and immutable values.
    """

    table: UserTable
    certificates: dict[str, Enrolment]
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
    #: The code of a refusal by a revocation list, the subject that is locked out, or None.
    refused: str | None = None

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


def read(lookup: Lookup, now: dt.datetime) -> Snapshot:
    """Run the one query for ``lookup``."""
    table, connection = user_table(), database.connection()
    condition, given = table.condition()
    given |= query.parameters(lookup, table, now, connection)
    rows = query.query(lookup.kinds, table, condition).rows(connection, given)
    return _snapshot(rows, lookup, table, given.get("subject"))


def _snapshot(rows: Rows, lookup: Lookup, table: UserTable, subject: Any) -> Snapshot:
    places = query.places(lookup.kinds)
    certificates, users, granted = {}, {}, {}
    refused = None
    for row in rows:
        refused = refused or row[places["refused"]][0]
        columns = row[places["user"]]
        key = columns[table.key_index]
        if key is not None:
            users[key] = columns
            (granted[key],) = row[places["granted"]]
        if lookup.certificate is not None:
            enrolment = Enrolment(*row[places["certificate"]])
            if enrolment.thumbprint is not None:
                certificates[enrolment.thumbprint] = enrolment
    first, session, ends_soon, client = rows[0], None, False, None
    if lookup.session_id is not None and first[places["session"]][0] is not None:
        session = SessionRow(*first[places["session"]])
        (ends_soon,) = first[places["session_ends_soon"]]
    if lookup.token is not None:
        (has_ended,) = first[places["token_ended"]]
        obtained_under = certificates.get(lookup.token.certificate)
        if has_ended or (obtained_under is not None and obtained_under.revoked_at is not None):
            subject = None
        if first[places["client"]][0] is not None:
            client = Registration(*first[places["client"]])
    return Snapshot(table, certificates, session, bool(ends_soon), subject, client, users, granted, refused)

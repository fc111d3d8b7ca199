"""The SQL of the one query: one SELECT that judges everything that a request presents.

::

    the certificate   its user, and whether it is revoked
    the session       its contents and binding, and whether it ends soon
    the token         whether the token, its family, its client, its key or every token of its time was revoked
    the users         every column of the users of all three, with the grants of each

The SQL is written by hand, is the same for PostgreSQL and SQLite, and is composed once for each kind of request. The
result has one row for each certificate and user. That is one row, unless the credentials name several users.
``snapshot`` reads the rows.
"""

from __future__ import annotations

import datetime as dt
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connections

from securecore import leases
from securecore.caller.user_table import UserTable
from securecore.conf import settings
from securecore.database.statements import BoundStatement, Statement
from securecore.grants.query import effective, user_tables
from securecore.identity import obtained
from securecore.models import RevokedToken
from securecore.sessions import statements
from securecore.tokens import AccessToken, epochs, revocation_id

_CERTIFICATE = "c.thumbprint, c.user_id, c.is_self_signed, c.revoked_at"
_SESSION = f"{statements.COLUMNS}, s.expires_at <= %(lease_ends)s"
_REVOCATION = """
    EXISTS (SELECT 1 FROM securecore_revoked_token WHERE id = %(token_id)s AND expires_at > %(now)s)
    OR EXISTS (SELECT 1 FROM securecore_token_epoch
               WHERE subject IN (%(user_subject)s, %(client_subject)s, %(everyone)s)
               AND (not_before >= %(issued_at)s OR epoch > CASE subject
                    WHEN %(user_subject)s THEN %(user_epoch)s WHEN %(client_subject)s THEN %(client_epoch)s END))
    OR EXISTS (SELECT 1 FROM securecore_client WHERE client_id = %(client_id)s AND disabled_at IS NOT NULL)
"""
_OBTAINED = obtained.REVOKED.format("%(obtained_under)s")
_FAMILY = "EXISTS (SELECT 1 FROM securecore_refresh_family WHERE id = %(family_id)s AND revoked_at IS NULL)"
_KEY = """
    EXISTS (SELECT 1 FROM securecore_signing_key
            WHERE kid = %(stored_key)s AND (expires_at IS NULL OR expires_at > %(now)s))
"""
#: The registration of the client that the token names. A user that gets tokens by certificate has no registration.
_CLIENT = "k.client_id, k.user_id, k.certificate_name"
#: The number of columns of each part. A part that the request did not present has no columns in the row.
_WIDTHS = {"certificate": 4, "session": 7, "token": 1, "client": 3, "obtained": 1, "family": 1, "key": 1, "granted": 1}

_ID: Any = RevokedToken._meta.get_field("id")
_INSTANT: Any = RevokedToken._meta.get_field("expires_at")


class Presented(NamedTuple):
    """The credentials that a request presented: names and digests, and a token with a good signature."""

    #: Every identifier under which the certificate may be enrolled, see ``identity.identifiers``.
    certificates: tuple[str, ...] | None = None
    session_id: UUID | None = None
    token: AccessToken | None = None

    @property
    def parts(self) -> tuple[str, ...]:
        """Return the parts of the query that these credentials need, keys of ``_WIDTHS``."""
        certificates, session_id, token = self
        needed = {"certificate": certificates is not None, "session": session_id is not None}
        if token is not None:
            # The query reads the client certificate anyway, but the token may have been obtained under another one. A
            # DPoP-bound token may come under any certificate. The introspection of a token for another service has no
            # certificate at all.
            is_elsewhere = token.certificate not in (certificates or ())
            family, key = token.family_id is not None, token.stored_key is not None
            needed |= {"token": True, "client": True, "obtained": is_elsewhere, "family": family, "key": key}
        return tuple(part for part, is_needed in needed.items() if is_needed)


def question(presented: Presented, users: UserTable) -> BoundStatement:
    """Return the one query for ``presented``, bound to all parameters but ``instants()``; ``places`` splits a row."""
    condition, parameters = users.condition()
    names = presented.certificates or ()
    parameters |= {f"certificate{number}": name for number, name in enumerate(names)}
    if presented.session_id is not None:
        parameters["session_id"] = _ID.get_db_prep_value(presented.session_id, connections[users.alias])
    if presented.token is not None:
        parameters |= of_token(presented.token, users)
    composed = _composed(presented.parts, len(names), users, condition, settings.DJANGO_PERMISSIONS)
    return composed.bind(parameters)


def instants(presented: Presented, now: dt.datetime, database: Any) -> dict[str, Any]:
    """Return the parameters of the query that are new for each request."""
    given = effective.parameters(now, database)
    if presented.session_id is not None:
        lease = dt.timedelta(seconds=leases.seconds())
        given["unseen_since"] = database.ops.adapt_datetimefield_value(statements.unseen_since(now))
        given["lease_ends"] = database.ops.adapt_datetimefield_value(now + lease)
    return given


@lru_cache(maxsize=64)
def places(parts: tuple[str, ...]) -> dict[str, slice]:
    """Return the slice of a row for each of ``parts``, then for the grants, and to the end for a user's columns."""
    slices, start = {}, 0
    for part in (*parts, "granted"):
        slices[part] = slice(start, start + _WIDTHS[part])
        start += _WIDTHS[part]
    return slices | {"user": slice(start, None)}


@lru_cache(maxsize=64)
def _composed(
    parts: tuple[str, ...], certificates: int, users: UserTable, condition: str, django_permissions: bool
) -> Statement:
    named = [f"%(certificate{number})s" for number in range(certificates)]
    columns = {
        "certificate": _CERTIFICATE,
        "session": _SESSION,
        "token": _REVOCATION,
        "client": _CLIENT,
        "obtained": _OBTAINED,
        "family": _FAMILY,
        "key": _KEY,
    }
    tables = {
        "certificate": f"LEFT JOIN securecore_certificate c ON c.thumbprint IN ({', '.join(named)})",
        "session": f"LEFT JOIN {statements.TABLES} ON s.id = %(session_id)s AND s.expires_at > %(now)s",
        "client": "LEFT JOIN securecore_client k ON k.client_id = %(client_id)s",
    }
    owners = {"certificate": "c.user_id", "session": "s.user_id", "token": "%(subject)s"}
    selected = ", ".join([*(columns[part] for part in parts), _granted(users, named, parts), users.columns])
    joined = " ".join(tables[part] for part in parts if part in tables)
    keys = [owners[part] for part in parts if part in owners]
    among = f"IN ({', '.join(keys)})"
    if len(keys) > 1 and connections[users.alias].vendor == "postgresql":
        # With IN, PostgreSQL plans two scans and expects each to return every user. At that estimate it may plan the
        # prepared statement anew for each request.
        among = f"= ANY(ARRAY[{', '.join(keys)}])"
    return Statement(
        f"SELECT {selected} FROM (SELECT 1) request {joined} "  # noqa: S608
        f"LEFT JOIN {users.source} ON {users.key} {among}{condition}",
        new=("now", "unseen_since", "lease_ends"),
    )


def _granted(users: UserTable, certificates: list[str], parts: tuple[str, ...]) -> str:
    """Return the SQL of the grants of user, certificate and client, for ``effective.read_granted()``.

    Each grant carries the name of its principal. Here only the signature of a token is judged. So a user object gets
    the grants of a client or certificate only once that credential is proven (see ``Access``).
    """
    names = [user_tables.name_sql(users.key), *(f"'certificate:' || {name}" for name in certificates)]
    names += ["'service:' || %(service)s"] if "token" in parts else []
    return effective.granted_sql(names=names, user=users.key)


def token_ended(parts: tuple[str, ...]) -> str:
    """Return the SQL condition that a token was revoked. Its parameters are those of ``of_token``."""
    conditions = {"token": _REVOCATION, "obtained": _OBTAINED, "family": f"NOT {_FAMILY}", "key": f"NOT {_KEY}"}
    return " OR ".join(f"({condition})" for part, condition in conditions.items() if part in parts)


def of_token(token: AccessToken, users: UserTable) -> dict[str, Any]:
    """Return the parameters of all conditions about a token."""
    database = connections[users.alias]
    return {
        "subject": users.key_of(token.subject),
        "token_id": _ID.get_db_prep_value(revocation_id(issuer=token.issuer, jti=token.jti), database),
        "user_subject": epochs.user_subject(token.subject),
        "user_epoch": token.user_epoch,
        "client_subject": epochs.client_subject(token.client_id),
        "client_epoch": token.client_epoch,
        "everyone": epochs.EVERYONE,
        "issued_at": _INSTANT.get_db_prep_value(token.issued_at, database),
        "client_id": token.client_id,
        # Null names no principal: the client id of an unregistered client is a user name, and must not name a service.
        "service": token.client_id if token.is_registered else None,
        "obtained_under": token.certificate,
        "family_id": _ID.get_db_prep_value(token.family_id, database),
        "stored_key": token.stored_key,
    }

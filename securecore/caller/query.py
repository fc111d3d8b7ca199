"""The SQL of the one query: one SELECT that judges everything that a request presents.

::

    the refusal       a lockout of a caller, and the revocation list that names the certificate
    the certificate   its user, and whether it is revoked
    the session       its contents and binding, and whether it ends soon
    the token         whether the token, its family, its client, its key or every token of its time was revoked
    the users         every column of the users of all three, with the grants of each

Each feature keeps the fragments about its own tables; this module puts them together, once for each kind of request.
On PostgreSQL each kind is a function (``database.functions``). The result has one row for each certificate and user.
That is one row, unless the credentials name several users. ``snapshot`` reads the rows.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from functools import lru_cache
from itertools import product
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from securecore import leases
from securecore.caller.user_table import UserTable
from securecore.conf import settings
from securecore.database.arrays import array_parameter, elements_sql, in_array_sql
from securecore.database.functions import Function
from securecore.errors import CertificateRevoked, RevocationListExpired
from securecore.grants.query import auth_tables, effective
from securecore.grants.query.lockouts import EVERYONE, ISSUER, lockout_sql
from securecore.identity import ClientCertificate, identifiers, obtained
from securecore.identity import statements as of_certificates
from securecore.models import Session
from securecore.sessions import statements as of_sessions
from securecore.tokens import AccessToken
from securecore.tokens import statements as of_tokens

#: The credentials that a request may present, in the order of their columns in a row.
KINDS = ("certificate", "session", "token")

_ID: Any = Session._meta.get_field("id")

#: The columns of each credential. Those of the user's grants and of the user follow.
_COLUMNS = {
    "certificate": of_certificates.ENROLMENT,
    "session": f"{of_sessions.COLUMNS}, s.expires_at <= %(lease_ends)s",
    "token": f"{of_tokens.ENDED} OR {obtained.REVOKED.format('%(obtained_under)s')}, {of_tokens.REGISTRATION}",
}
_TYPES = (
    of_tokens.TYPES
    | of_certificates.TYPES
    | {
        "now": "timestamptz",
        "lockable": "text[]",
        "certificates": "text[]",
        "session_id": "uuid",
        "unseen_since": "timestamptz",
        "lease_ends": "timestamptz",
        "obtained_under": "text",
    }
)


class CertificateLookup(NamedTuple):
    """The names of a client certificate in the tables."""

    #: Every identifier under which the certificate may be enrolled, see ``identity.identifiers``.
    identifiers: tuple[str, ...]
    issuer: str = ""
    serial_id: UUID | None = None
    issuer_id: UUID | None = None

    @classmethod
    def of(cls, certificate: ClientCertificate) -> CertificateLookup:
        return cls(identifiers(certificate), certificate.issuer, certificate.serial_id, certificate.issuer_id)


class Lookup(NamedTuple):
    """The credentials that a request presented: names and digests, and a token with a good signature."""

    certificate: CertificateLookup | None = None
    session_id: UUID | None = None
    token: AccessToken | None = None

    @property
    def kinds(self) -> tuple[str, ...]:
        """Return those of ``KINDS`` that the request presented."""
        return tuple(kind for kind, presented in zip(KINDS, self, strict=True) if presented is not None)


def query(kinds: tuple[str, ...], users: UserTable, condition: str = "") -> Function:
    """Return the one query for requests that present these kinds of credentials.

    ``condition`` is the filter of the project's user manager, see ``UserTable.condition``.
    """
    return _query(kinds, users, condition, settings.DJANGO_PERMISSIONS)


def every_query(users: UserTable) -> Iterator[Function]:
    """Return the queries that PostgreSQL keeps as functions; none where the user manager may filter each request."""
    if not users.is_filtered:
        for chosen in product((False, True), repeat=len(KINDS)):
            if any(chosen):
                yield query(tuple(kind for kind, is_chosen in zip(KINDS, chosen, strict=True) if is_chosen), users)


def parameters(lookup: Lookup, users: UserTable, now: dt.datetime, database: BaseDatabaseWrapper) -> dict[str, Any]:
    """Return the parameters of the query for ``lookup``, in the form of ``database``."""
    instant = database.ops.adapt_datetimefield_value
    certificate, session_id, token = lookup
    given = effective.parameters(now, database) | {"lockable": array_parameter(_lockable(lookup), database)}
    known_by: tuple[str, ...] = ()
    if certificate is not None:
        known_by = certificate.identifiers
        given["certificates"] = array_parameter(known_by, database)
        given["serial_id"] = _ID.get_db_prep_value(certificate.serial_id, database)
        given["issuer_id"] = _ID.get_db_prep_value(certificate.issuer_id, database)
    if session_id is not None:
        given["session_id"] = _ID.get_db_prep_value(session_id, database)
        given["unseen_since"] = instant(of_sessions.unseen_since(now))
        given["lease_ends"] = instant(now + dt.timedelta(seconds=leases.seconds()))
    if token is not None:
        given |= of_tokens.parameters(token, database)
        given["subject"] = users.key_of(token.subject)
        # The query reads the client certificate anyway, but the token may have been obtained under another one. A
        # DPoP-bound token may come under any certificate. The introspection of a token for another service has no
        # certificate at all.
        given["obtained_under"] = None if token.certificate in known_by else token.certificate
    return given


def _lockable(lookup: Lookup) -> list[str]:
    """Return the subjects of a lockout of this request, without its users."""
    subjects = [EVERYONE]
    certificate, _, token = lookup
    # As ``principals`` writes these names, without its checks: this code runs for each request.
    if certificate is not None:
        subjects += [f"certificate:{identifier}" for identifier in certificate.identifiers]
        subjects.append(ISSUER + certificate.issuer)
    if token is not None:
        subjects.append(f"service:{token.client_id}")
        if token.certificate:
            subjects.append(f"certificate:{token.certificate}")
    return subjects


@lru_cache(maxsize=64)
def places(kinds: tuple[str, ...]) -> dict[str, slice]:
    """Return the slice of a row for each part: of the credentials, of the user's grants, and of the user."""
    widths = {
        "certificate": {"certificate": len(of_certificates.Enrolment._fields)},
        "session": {"session": len(of_sessions.SessionRow._fields) - 1, "session_ends_soon": 1},
        "token": {"token_ended": 1, "client": len(of_tokens.Registration._fields)},
    }
    slices, start = {}, 0
    for part, width in [*(item for kind in kinds for item in widths[kind].items()), ("refused", 1), ("granted", 1)]:
        slices[part] = slice(start, start + width)
        start += width
    return slices | {"user": slice(start, None)}


@lru_cache(maxsize=64)
def _query(kinds: tuple[str, ...], users: UserTable, condition: str, _django_permissions: bool) -> Function:
    database = connections[users.alias]
    tables = {
        "certificate": f"securecore_certificate c ON {in_array_sql('c.thumbprint', 'certificates', database)}",
        "session": f"{of_sessions.TABLES} ON s.id = %(session_id)s AND s.expires_at > %(now)s",
        "token": of_tokens.CLIENT,
    }
    owners = {"certificate": "c.user_id", "session": "s.user_id", "token": "%(subject)s"}
    columns = [*(_COLUMNS[kind] for kind in kinds), _refused(kinds, users), _granted(kinds, users, database)]
    selected = ", ".join([*columns, users.columns])
    joined = " ".join(f"LEFT JOIN {tables[kind]}" for kind in kinds)
    keys = [owners[kind] for kind in kinds]
    among = f"IN ({', '.join(keys)})"
    if len(keys) > 1 and database.vendor == "postgresql":
        # With IN, PostgreSQL plans two scans and expects each to return every user.
        among = f"= ANY(ARRAY[{', '.join(keys)}])"
    text = (
        f"SELECT {selected} FROM (SELECT 1) request {joined} "  # noqa: S608
        f"LEFT JOIN {users.source} ON {users.key} {among}{condition}"
    )
    name = "request_" + "".join(kind[0] for kind in kinds)
    return Function.of(name, text, _TYPES | {"subject": users.key_type}, columns=users.column_types)


def _refused(kinds: tuple[str, ...], users: UserTable) -> str:
    """Return the SQL of the refusal: its code by a revocation list, or a subject that is locked out; else null."""
    locked_out = lockout_sql("lockable", auth_tables.name_sql(users.key))
    if "certificate" not in kinds:
        return locked_out
    return (
        f"CASE WHEN {of_certificates.IS_LISTED} THEN '{CertificateRevoked.code}' "
        f"WHEN {of_certificates.LIST_HAS_ENDED} THEN '{RevocationListExpired.code}' ELSE {locked_out} END"
    )


def _granted(kinds: tuple[str, ...], users: UserTable, database: BaseDatabaseWrapper) -> str:
    """Return the SQL of the grants of the user, of this certificate and of this client, for ``read_granted()``.

    Each grant carries the name of its principal. Here only the signature of a token is judged. So a user object gets
    the grants of a client or certificate only once that credential is proven (see ``PresentedCredentials``).
    """
    names = [auth_tables.name_sql(users.key), *([of_tokens.SERVICE] if "token" in kinds else [])]
    more = ""
    if "certificate" in kinds:
        elements = elements_sql("certificates", database, "identifier")
        more = f"SELECT 'certificate:' || identifier FROM (SELECT {elements}) i"  # noqa: S608
    return effective.granted_sql(names=names, more=more, user=users.key)

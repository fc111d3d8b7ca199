"""SQL about lockouts. The one query of a request and the permission query include these fragments."""

from __future__ import annotations

from securecore import database

#: The subject of a lockout of every caller.
EVERYONE = "everyone"
#: The prefix of the subject of a lockout of all certificates of one issuer.
ISSUER = "issuer:"


def lockout_sql(subjects: str, user: str) -> str:
    """Return an expression of the first subject that is locked out, null for none.

    ``subjects`` is the name of an array parameter, ``user`` the SQL expression of a further subject, or null. The
    expression runs in each request, and finds the row by one search of the index.
    """
    if database.connection().vendor == "postgresql":
        among = f"= ANY(CAST(%({subjects})s AS text[]) || CAST({user} AS text))"
    else:
        among = f"IN (SELECT value FROM json_each(%({subjects})s) UNION ALL SELECT {user})"  # noqa: S608
    return (
        f"(SELECT l.subject FROM securecore_lockout l WHERE l.subject {among} AND l.expires_at > %(now)s "  # noqa: S608
        "LIMIT 1)"
    )


def is_locked_out_sql(subjects: str) -> str:
    """Return the condition that a subject of the SELECT ``subjects`` or everyone is locked out."""
    return (
        f"EXISTS (SELECT 1 FROM securecore_lockout l WHERE l.expires_at > %(now)s "  # noqa: S608
        f"AND l.subject IN (SELECT '{EVERYONE}' UNION ALL {subjects}))"
    )

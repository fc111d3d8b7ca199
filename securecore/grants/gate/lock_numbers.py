"""The numbers of the advisory locks, and the SQL that takes them. The triggers use the same SQL.

Note [Lock numbers]
    Names are hashed to 1,024 lock numbers. So a statement that changes a million users takes 1,024 locks. A million
    locks would fill PostgreSQL's lock table (6,400 by default), and every transaction would fail. Two principals with
    the same number wait for each other, and each check still decides by its own grants.
"""

from __future__ import annotations

from securecore.grants.principals import DERIVED

#: The first key of the advisory locks: for own names, and for groups and roles. Another program on the same database is
#: unlikely to use such large numbers.
KINDS = OWN_KIND, DERIVED_KIND = 1_589_641_217, 1_589_641_218
NUMBERS = 1_024

SHARED, EXCLUSIVE = "pg_advisory_xact_lock_shared", "pg_advisory_xact_lock"

#: Every lock of an own name, in the order of Note [Lock order]. Each check takes one of them.
EVERY_NUMBER = f"SELECT {EXCLUSIVE}({OWN_KIND}, number) FROM generate_series(0, {NUMBERS - 1}) number"  # noqa: S608


def lock_sql(names: str, function: str, more: str = "NULL") -> str:
    """Return a SELECT that takes the advisory locks of the principals that the query ``names`` selects.

    It takes the locks in the order of Note [Lock order]. Its columns are ``more``, the name, and the call of
    ``function``. PostgreSQL evaluates ``more`` first.
    """
    derived = " OR ".join(f"substr(name, 1, {len(kind)}) = '{kind}'" for kind in DERIVED)
    ordered = (
        f"SELECT name, CASE WHEN {derived} THEN {DERIVED_KIND} ELSE {OWN_KIND} END AS kind, "  # noqa: S608
        f"hashtext(name) & {NUMBERS - 1} AS number FROM ({names}) named ORDER BY kind, number OFFSET 0"
    )
    return f"SELECT {more}, name, {function}(kind, number) FROM ({ordered}) ordered"  # noqa: S608

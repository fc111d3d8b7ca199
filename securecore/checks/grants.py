from __future__ import annotations

from typing import Any

from django.core.checks import CheckMessage, Error

from securecore import conf
from securecore.conf import django_settings


def _database() -> dict[str, Any]:
    return dict(django_settings.DATABASES.get(conf.settings.DATABASE, {}))


def e601_sqlite_immediate(**_: Any) -> list[CheckMessage]:
    """SQLite has no row locks: only BEGIN IMMEDIATE keeps a check and its effect together."""
    database = _database()
    is_sqlite = database.get("ENGINE", "").endswith("sqlite3")
    if not is_sqlite or database.get("OPTIONS", {}).get("transaction_mode") in ("IMMEDIATE", "EXCLUSIVE"):
        return []
    return [
        Error(
            "On this SQLite database a revocation can be outrun.",
            hint="Set OPTIONS = {'transaction_mode': 'IMMEDIATE'} for it in DATABASES.",
            id="securecore.E601",
        )
    ]


def e602_read_committed(**_: Any) -> list[CheckMessage]:
    """A snapshot from before the wait for the gate would show the permission from before the revocation."""
    if "isolation_level" not in _database().get("OPTIONS", {}):
        return []
    from psycopg import IsolationLevel

    if _database()["OPTIONS"]["isolation_level"] == IsolationLevel.READ_COMMITTED:
        return []
    return [
        Error(
            "At this isolation level a permission is read from before the revocation that was waited for.",
            hint="Remove 'isolation_level' from OPTIONS in DATABASES; READ COMMITTED is what the gate needs.",
            id="securecore.E602",
        )
    ]


def e603_database(**_: Any) -> list[CheckMessage]:
    if conf.settings.DATABASE in django_settings.DATABASES:
        return []
    return [
        Error(
            f"SECURECORE['DATABASE'] is {conf.settings.DATABASE!r}, which DATABASES does not have.",
            hint="Name the database in which the effects happen.",
            id="securecore.E603",
        )
    ]


CHECKS = (e601_sqlite_immediate, e602_read_committed, e603_database)

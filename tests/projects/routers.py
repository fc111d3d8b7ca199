"""Database routers as projects write them."""

from __future__ import annotations

from typing import Any


class EverythingInSecurity:
    """Every model is in the database ``security``."""

    def db_for_read(self, model: Any, **hints: Any) -> str:
        return "security"

    db_for_write = db_for_read


class SecurecoreInSecurity:
    """The tables of securecore are in ``security``, the users in ``default``."""

    def db_for_read(self, model: Any, **hints: Any) -> str:
        return "security" if model._meta.app_label == "securecore" else "default"

    db_for_write = db_for_read

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool:
        return db == ("security" if app_label == "securecore" else "default")


class PrimaryAndReplica:
    """Django's documented router without ``allow_relation``: it reads from the replica."""

    def db_for_read(self, model: Any, **hints: Any) -> str:
        return "replica"

    def db_for_write(self, model: Any, **hints: Any) -> str:
        return "default"

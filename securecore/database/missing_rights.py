"""Name the role and the right that ``migrate`` lacks for the functions and the triggers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.core.management.base import CommandError
from django.db import ProgrammingError
from django.db.backends.base.base import BaseDatabaseWrapper

#: PostgreSQL: insufficient_privilege.
_NO_RIGHT = "42501"


@contextmanager
def naming_missing_rights(things: str, connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Turn a refusal of PostgreSQL, while ``migrate`` creates these ``things``, into ``CommandError`` with the remedy.

    The transaction of the statement must be inside, because the role is read after the rollback.
    """
    try:
        yield
    except ProgrammingError as error:
        if getattr(error.__cause__, "sqlstate", None) != _NO_RIGHT:
            raise
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_user")
            (role,) = cursor.fetchone() or ("",)
        reason = str(error).partition("\n")[0]
        raise CommandError(
            f"The role {role!r} must not create the {things} of securecore: {reason}. Run migrate as the owner of the "
            "tables, with CREATE on their schema, and with the settings of the service."
        ) from error

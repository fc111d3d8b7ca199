"""Every function that securecore calls in PostgreSQL, created by ``migrate``. ``database.functions`` has reasons."""

from __future__ import annotations

from django.db import ProgrammingError
from django.db import transaction as transactions

from securecore import database
from securecore.caller import query
from securecore.caller.user_table import user_table
from securecore.conf import settings
from securecore.database import functions
from securecore.database.functions import Function


def every_function() -> list[Function]:
    """Return the functions for the user model and the settings of now."""
    return list(query.every_query(user_table()))


def missing() -> list[str]:
    """Return the names of functions that the role of this connection cannot call."""
    return functions.missing(every_function(), database.connection())


def after_migrate(*, using: str, **_: object) -> None:
    """Create the functions after ``migrate``. Without all tables, as after ``migrate securecore zero``, create none."""
    if using != settings.DATABASE:
        return
    try:
        with transactions.atomic(using=using):
            functions.install(every_function(), database.connection())
    except ProgrammingError as error:
        if getattr(error.__cause__, "sqlstate", None) != "42P01":  # undefined_table
            raise
        functions.install([], database.connection())

"""Every function that securecore calls in PostgreSQL, created by ``migrate``. ``database.functions`` has reasons."""

from __future__ import annotations

from django.db import ProgrammingError
from django.db import transaction as transactions

from securecore import database
from securecore.caller import conditions, query
from securecore.caller.user_table import user_table
from securecore.conf import settings
from securecore.database import function_installation
from securecore.database.functions import Function
from securecore.database.missing_rights import naming_missing_rights
from securecore.grants.gate import advisory
from securecore.grants.query import caller_state
from securecore.idempotency import record
from securecore.replay import store
from securecore.tokens import revoked

_CLAIMS = (store.CLAIM, revoked.CLAIM, record.CLAIM, record.LEASED_CLAIM)
#: PostgreSQL: undefined_table, undefined_column, undefined_function (which no operator is too) and datatype_mismatch.
#: The tables are not those of the models, for example because ``migrate APP`` has migrated one app.
_OTHER_TABLES = ("42P01", "42703", "42883", "42804")


def every_function() -> list[Function]:
    """Return the functions for the user model and the settings of now."""
    checks = [caller_state.function_of(each) for each in conditions.every_combination()]
    claims = [claim.function for claim in _CLAIMS]
    return [*query.every_query(user_table()), *checks, *advisory.every_function(checks), *claims]


def missing() -> list[str]:
    """Return the names of functions that the role of this connection cannot call."""
    return function_installation.missing(every_function(), database.connection())


def after_migrate(*, using: str, **_: object) -> None:
    """Create the functions after ``migrate``.

    If the tables are not those of the models, create none: for example after ``migrate securecore zero``, or after
    ``migrate APP`` while another app adds a column to the user. Without functions the plain statements run. Raises
    ``CommandError`` if the role of ``migrate`` lacks a right.
    """
    if using != settings.DATABASE:
        return
    with naming_missing_rights("functions", database.connection()):
        _install()


def _install() -> None:
    try:
        with transactions.atomic(using=settings.DATABASE):
            function_installation.install(every_function(), database.connection())
    except ProgrammingError as error:
        if getattr(error.__cause__, "sqlstate", None) not in _OTHER_TABLES:
            raise
        function_installation.install([], database.connection())

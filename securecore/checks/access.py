from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from django.apps import apps
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.core.checks import CheckMessage, Error, Warning
from rest_framework.settings import api_settings

from securecore import conf, database, server_functions
from securecore.caller import why_not_leased
from securecore.checks import middleware
from securecore.checks.identity import SESSION
from securecore.conf import django_settings
from securecore.database.missing_tables import missing_tables
from securecore.http import urlconf
from securecore.http.authentication import OwnAuthentication
from securecore.models import Grant

_LONGEST_LEASE = 1_000
_OPEN_SCHEMAS = """
    SELECT nspname FROM pg_namespace
    WHERE nspname = ANY(current_schemas(false)) AND has_schema_privilege('public', oid, 'CREATE') ORDER BY nspname
"""
_DJANGO_S = "django.contrib.auth.middleware.AuthenticationMiddleware"
_OURS = "securecore.http.middleware.AuthenticationMiddleware"


def w701_short_leases(**_: object) -> list[CheckMessage]:
    """Report long leases: each revocation and each logout waits until every lease is over."""
    if conf.settings.LEASE_MS <= _LONGEST_LEASE:
        return []
    return [
        Warning(
            f"Every revocation and every logout takes {conf.settings.LEASE_MS / 1000:g} s longer.",
            hint="Set SECURECORE['LEASE_MS'] to 250 or less: that already saves a busy client most of its queries.",
            id="securecore.W701",
        )
    ]


def w702_our_classes_first(**_: object) -> list[CheckMessage]:
    """Report a class of another package before securecore's classes.

    The first class that accepts a credential ends the search. Then no securecore class compares the user with the
    request's certificate or session.
    """
    classes: list[Any] = list(api_settings.DEFAULT_AUTHENTICATION_CLASSES)
    own = [index for index, item in enumerate(classes) if issubclass(item, OwnAuthentication)]
    foreign = [item.__name__ for item in classes[: max(own, default=0)] if not issubclass(item, OwnAuthentication)]
    if not foreign:
        return []
    return [
        Warning(
            f"{', '.join(foreign)} may authenticate one user on a request with another user's certificate or session.",
            hint="Put the classes of securecore first in REST_FRAMEWORK['DEFAULT_AUTHENTICATION_CLASSES']: they call "
            "the class for the Authorization header, and compare its user.",
            id="securecore.W702",
        )
    ]


def w703_authentication_middleware(**_: object) -> list[CheckMessage]:
    if _DJANGO_S not in django_settings.MIDDLEWARE:
        return []
    return [
        Warning(
            "Plain Django views accept a request with a bad access token, or with the token and session of two users.",
            hint=f"Put {_OURS!r} into MIDDLEWARE in place of {_DJANGO_S!r}.",
            id="securecore.W703",
        )
    ]


def e711_no_user(**_: Any) -> list[CheckMessage]:
    """Report a project without an ``AuthenticationMiddleware`` in which a session or a plain view needs the user.

    The views of REST framework authenticate their callers themselves.
    """
    guarded = sorted({name for view in urlconf.callbacks() if (name := urlconf.guarded_plain_view(view))})
    has_session = middleware.position(SessionMiddleware) is not None
    if middleware.position(AuthenticationMiddleware) is not None or not (guarded or has_session):
        return []
    problem = f"every request to {', '.join(guarded[:10])} is a 500" if guarded else "no session logs a user in"
    return [
        Error(
            f"Without AuthenticationMiddleware no request has a user: {problem}.",
            hint=f"Put {_OURS!r} into MIDDLEWARE, after {SESSION!r}.",
            id="securecore.E711",
        )
    ]


def w704_leases_have_no_effect(**_: Any) -> list[CheckMessage]:
    """Report that leases are on but never used, because a lease could hold another tenant's rows."""
    if not conf.settings.LEASE_MS or not (reason := why_not_leased(database.connection())):
        return []
    return [
        Warning(
            f"SECURECORE['LEASE_MS'] has no effect: {reason}.",
            hint="Set it to 0: no revocation waits then.",
            id="securecore.W704",
        )
    ]


def e705_row_level_security(databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """Report leases together with row-level security: PostgreSQL hides rows by a session variable, and leases ignore
    it.

    The check queries the database, so it runs with ``manage.py check --database default`` only.
    """
    may_query = conf.settings.DATABASE in (databases or ()) and database.connection().vendor == "postgresql"
    if not may_query or not conf.settings.LEASE_MS:
        return []
    with database.connection().cursor() as cursor:
        cursor.execute(
            "SELECT oid::regclass::text FROM pg_class WHERE relrowsecurity AND relname = ANY(%s) ORDER BY 1",
            [_tables()],
        )
        hidden = [name for (name,) in cursor.fetchall()]
    if not hidden:
        return []
    return [
        Error(
            f"Row-level security hides rows of {', '.join(hidden)}, and a lease may show those of another tenant.",
            hint="Set SECURECORE['LEASE_MS'] to 0.",
            id="securecore.E705",
        )
    ]


def w706_functions(databases: Sequence[str] | None = None, **_: object) -> list[CheckMessage]:
    """Report missing functions: the plain statements do the same, but PostgreSQL plans them for each request.

    The check queries the database, so it runs with ``manage.py check --database default`` only. ``migrate`` runs it
    too: on a new database there is nothing to report, since the same ``migrate`` creates tables and functions.
    """
    if conf.settings.DATABASE not in (databases or ()):
        return []
    missing = server_functions.missing()
    if not missing or Grant._meta.db_table not in database.connection().introspection.table_names():
        return []
    return [
        Warning(
            f"PostgreSQL plans the statements of every request anew. Missing functions: {len(missing)}, for example "
            f"{missing[0]}.",
            hint="Run manage.py migrate as the owner of the tables, with the settings of the service: it creates the "
            "functions whenever it ends. The role of the service needs the right to call them (GRANT EXECUTE).",
            id="securecore.W706",
        )
    ]


def w707_not_migrated(databases: Sequence[str] | None = None, **_: object) -> list[CheckMessage]:
    """Report missing tables, under ``manage.py check --database default`` only.

    It is a warning and no error, because ``migrate`` runs the checks and then creates the tables. ``migrate`` itself
    does not report them: a finding that says "Run manage.py migrate" would puzzle a reader during ``migrate``.
    """
    if conf.settings.DATABASE not in (databases or ()) or sys.argv[1:2] == ["migrate"]:
        return []
    missing = missing_tables()
    if not missing:
        return []
    return [
        Warning(
            f"The database {conf.settings.DATABASE!r} lacks {len(missing)} tables of securecore, for example "
            f"{min(missing)}: every request would fail.",
            hint=f"Run manage.py migrate --database {conf.settings.DATABASE}.",
            id="securecore.W707",
        )
    ]


def w713_open_schema(databases: Sequence[str] | None = None, **_: object) -> list[CheckMessage]:
    """Report a schema in which every role may create objects, under ``manage.py check --database default`` only.

    PostgreSQL prefers the function whose parameters fit a call best. So a stranger's ``substr(varchar, integer)`` is
    called in place of PostgreSQL's ``substr(text, integer)``, with the rights of the service. No care in a statement
    helps a project, since Django's own statements contain such calls.
    """
    if conf.settings.DATABASE not in (databases or ()) or database.connection().vendor != "postgresql":
        return []
    with database.connection().cursor() as cursor:
        cursor.execute(_OPEN_SCHEMAS)
        schemas = [schema for (schema,) in cursor.fetchall()]
    return [
        Warning(
            f"Every role of the database may create a function in the schema {schema!r}. PostgreSQL may call it in "
            "place of securecore's or its own, with the rights of the service.",
            hint=f'Run REVOKE CREATE ON SCHEMA "{schema}" FROM PUBLIC as the owner of the schema, and grant CREATE to '
            "the role that runs migrate.",
            id="securecore.W713",
        )
        for schema in schemas
    ]


def _tables() -> list[str]:
    ours: list[Any] = [*apps.get_app_config("securecore").get_models()]
    user = apps.get_model(conf.django_settings.AUTH_USER_MODEL)
    return [model._meta.db_table for model in (*ours, user, *user._meta.get_parent_list())]


CHECKS = (
    w701_short_leases,
    w702_our_classes_first,
    w703_authentication_middleware,
    w704_leases_have_no_effect,
    e711_no_user,
)
DATABASE_CHECKS = (e705_row_level_security, w706_functions, w707_not_migrated, w713_open_schema)

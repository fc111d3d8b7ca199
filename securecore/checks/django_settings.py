"""The system checks of Django's own settings: clocks, transactions, drivers and middleware."""

from __future__ import annotations

from typing import Any

from asgiref.sync import iscoroutinefunction
from django.core.checks import CheckMessage, Error, Warning
from django.db import connections

from securecore import conf
from securecore.conf import django_settings
from securecore.http import urlconf

#: SQLite has no type of instants: Django stores texts in the time zone of the database, and triggers compare them.
_UTC = ("UTC", "Etc/UTC")
_DJANGOS = "django.contrib.auth.middleware.LoginRequiredMiddleware"
_OURS = "securecore.http.middleware.LoginRequiredMiddleware"


def e805_local_time(**_: Any) -> list[CheckMessage]:
    """Report instants in local time: one hour of each year comes twice, so a later instant may compare as earlier."""
    zone = _database().get("TIME_ZONE")
    is_local_sqlite = _database().get("ENGINE", "").endswith("sqlite3") and zone not in (None, *_UTC)
    if django_settings.USE_TZ and not is_local_sqlite:
        return []
    where = f"'TIME_ZONE': {zone!r} in DATABASES" if django_settings.USE_TZ else "USE_TZ = False"
    remedy = "Remove 'TIME_ZONE' from the database" if django_settings.USE_TZ else "Set USE_TZ = True"
    return [
        Error(
            f"With {where} the database holds instants in local time, of which one hour a year means two instants.",
            hint=f"{remedy}: securecore's expiry dates and revocations are instants in UTC. TIME_ZONE still says in "
            "which zone templates and forms show them.",
            id="securecore.E805",
        )
    ]


def e806_autocommit(**_: Any) -> list[CheckMessage]:
    """Report a database in which Django commits no transaction."""
    if _database().get("AUTOCOMMIT", True):
        return []
    return [
        Error(
            "With 'AUTOCOMMIT': False no revocation and no nonce commits when its function returns.",
            hint="Remove 'AUTOCOMMIT' from the database in DATABASES, and set ATOMIC_REQUESTS for a transaction for "
            "each request.",
            id="securecore.E806",
        )
    ]


def e808_psycopg_2(**_: Any) -> list[CheckMessage]:
    """Report psycopg 2, which reports no SQLSTATE where securecore reads it."""
    if _database().get("ENGINE", "").rpartition(".")[2] not in ("postgresql", "postgis"):
        return []
    from django.db.backends.postgresql.psycopg_any import is_psycopg3

    if is_psycopg3:
        return []
    return [
        Error(
            "psycopg 2 reports the errors of PostgreSQL in another form: a wait for a lock that ends by its timeout "
            "would be a 503 instead of a 409, and a revocation would fail.",
            hint="Install psycopg 3 (pip install 'securecore[postgresql]'). Django prefers it over psycopg 2.",
            id="securecore.E808",
        )
    ]


def w809_login_required(**_: Any) -> list[CheckMessage]:
    """Report Django's own ``LoginRequiredMiddleware``, in which a bad access token is a failure."""
    if _DJANGOS not in django_settings.MIDDLEWARE:
        return []
    return [
        Warning(
            f"A request with a bad access token is a 500: {_DJANGOS.rpartition('.')[2]} reads request.user.",
            hint=f"Put {_OURS!r} into MIDDLEWARE in its place.",
            id="securecore.W809",
        )
    ]


def e810_async_views(**_: Any) -> list[CheckMessage]:
    """Report ``async def`` views under ATOMIC_REQUESTS: Django raises ``RuntimeError`` for each request to one."""
    atomic = {alias for alias, database in connections.settings.items() if database.get("ATOMIC_REQUESTS")}
    views = sorted(
        {
            urlconf.name_of(view)
            for view in urlconf.callbacks()
            if iscoroutinefunction(view) and atomic - set(getattr(view, "_non_atomic_requests", ()))
        }
    )
    if not views:
        return []
    return [
        Error(
            f"Under ATOMIC_REQUESTS every request to {', '.join(views[:10])} is a 500: Django opens no transaction "
            "around an async def view.",
            hint="Write @transaction.non_atomic_requests on the view: @requires and @idempotent open a transaction "
            "themselves. Or write def in place of async def.",
            id="securecore.E810",
        )
    ]


def _database() -> dict[str, Any]:
    return dict(connections.settings.get(conf.settings.DATABASE, {}))


CHECKS = (e805_local_time, e806_autocommit, e808_psycopg_2, w809_login_required, e810_async_views)

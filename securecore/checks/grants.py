from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

from django.apps import apps
from django.contrib.auth import get_user_model
from django.core.checks import CheckMessage, Error, Warning
from django.db import router

from securecore import conf, database
from securecore.conf import django_settings
from securecore.grants import triggers
from securecore.http.authorization.action_names import Actions, permissions_of_class, unknown_names, unnamed_actions
from securecore.http.permissions import GrantedView, HasGrant
from securecore.http.urlconf import callbacks


def _database() -> dict[str, Any]:
    return dict(django_settings.DATABASES.get(conf.settings.DATABASE, {}))


def e601_sqlite_immediate(**_: Any) -> list[CheckMessage]:
    """Report SQLite without BEGIN IMMEDIATE: without row locks, only that excludes a revocation until the effect
    commits.
    """
    connection = _database()
    is_sqlite = connection.get("ENGINE", "").endswith("sqlite3")
    if not is_sqlite or connection.get("OPTIONS", {}).get("transaction_mode") in ("IMMEDIATE", "EXCLUSIVE"):
        return []
    return [
        Error(
            "On this SQLite database an effect can commit after the revocation of its permission.",
            hint="Set OPTIONS = {'transaction_mode': 'IMMEDIATE'} for it in DATABASES.",
            id="securecore.E601",
        )
    ]


def e602_read_committed(**_: Any) -> list[CheckMessage]:
    """Report an isolation level with a snapshot from before the wait for the gate.

    After the wait such a snapshot still shows the permission that the revocation removed.
    """
    level = _database().get("OPTIONS", {}).get("isolation_level")
    if level in (None, _READ_COMMITTED):
        return []
    return [
        Error(
            "At this isolation level a check that waited for a revocation still reads the revoked permission.",
            hint="Remove 'isolation_level' from OPTIONS in DATABASES: the gate needs READ COMMITTED.",
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


def e604_gate(**_: Any) -> list[CheckMessage]:
    if conf.settings.GATE != "advisory" or _database().get("ENGINE", "").rpartition(".")[2] in _POSTGRESQL:
        return []
    return [
        Error(
            "SECURECORE['GATE'] is 'advisory', and this database has no advisory locks.",
            hint="Set it to 'auto': an advisory lock on PostgreSQL, a row elsewhere.",
            id="securecore.E604",
        )
    ]


def e605_replica(**_: Any) -> list[CheckMessage]:
    """Report a replica, which receives revocations late. Django marks a replica only as a test mirror."""
    mirrored = _database().get("TEST", {}).get("MIRROR")
    if not mirrored:
        return []
    return [
        Error(
            f"SECURECORE['DATABASE'] is a replica of {mirrored!r}: it may still show revoked permissions.",
            hint=f"Set it to {mirrored!r}.",
            id="securecore.E605",
        )
    ]


def w606_triggers(databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """Report missing triggers, under ``manage.py check --database default`` only.

    It is a warning and no error, because ``migrate`` runs the checks and then installs the triggers.
    """
    if conf.settings.DATABASE not in (databases or ()):
        return []
    missing = triggers.missing()
    if not missing:
        return []
    return [
        Warning(
            f"Changes outside securecore close no gate and end no session: {', '.join(missing)} missing.",
            hint="Run manage.py migrate as the owner of the tables, with the settings of the service: it installs the "
            "triggers whenever it ends.",
            id="securecore.W606",
        )
    ]


def e607_standby(databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """Report a hot standby: it shows old rows without any error. Runs under the same condition as ``w606_triggers``."""
    if conf.settings.DATABASE not in (databases or ()) or database.connection().vendor != "postgresql":
        return []
    with database.connection().cursor() as cursor:
        cursor.execute("SELECT pg_is_in_recovery()")
        if not cursor.fetchone()[0]:
            return []
    return [
        Error(
            "SECURECORE['DATABASE'] is a hot standby, which receives a revocation after the revocation has returned.",
            hint="Name the primary, with its HOST and PORT: a revoked caller may continue while the standby lags.",
            id="securecore.E607",
        )
    ]


def e608_unnamed_actions(**_: Any) -> list[CheckMessage]:
    """Report each action of a ``GrantedView`` without a permission: every request to it would be refused."""
    actions = sorted({f"{_name(view)}.{action}" for view, action in _each_route(_unnamed)})
    if not actions:
        return []
    return [
        Error(
            f"No permission is named for {_few(actions)}: every request to it is refused.",
            hint="Name it in `grants` of the view, with None if it needs no grant.",
            id="securecore.E608",
        )
    ]


def e609_unknown_actions(**_: Any) -> list[CheckMessage]:
    """Report each name in ``GrantedView.grants`` that is no action: it guards nothing."""
    entries = sorted({f"{_name(view)}.grants[{name!r}]" for view, name in _each_route(_unknown)})
    if not entries:
        return []
    return [
        Error(
            f"No action has the name in {_few(entries)}: it guards nothing.",
            hint="Use the action's name in a viewset (destroy, not delete), and the method's elsewhere (get, post).",
            id="securecore.E609",
        )
    ]


def e610_tables(**_: Any) -> list[CheckMessage]:
    """Report a router that keeps securecore's tables out of the database in which securecore uses them."""
    alias = conf.settings.DATABASE
    if alias not in django_settings.DATABASES:
        return []  # E603
    models: Any = apps.get_app_config("securecore").get_models()
    elsewhere = [model._meta.object_name for model in models if not router.allow_migrate_model(alias, model)]
    if not elsewhere:
        return []
    return [
        Error(
            f"A router keeps {_few(elsewhere)} out of {alias!r}, where securecore reads them.",
            hint=f"Let allow_migrate() of DATABASE_ROUTERS return True for app_label 'securecore' and db {alias!r}, or "
            "name in SECURECORE['DATABASE'] the database in which your effects and your users are.",
            id="securecore.E610",
        )
    ]


def e611_users(**_: Any) -> list[CheckMessage]:
    """Report users in another database. One query joins their table with securecore's, and foreign keys name them."""
    alias, user = conf.settings.DATABASE, get_user_model()
    written_in = router.db_for_write(user)
    if alias not in django_settings.DATABASES or (written_in == alias and router.allow_migrate_model(alias, user)):
        return []
    return [
        Error(
            f"{user._meta.label} is written in {written_in!r}, and securecore's tables are in {alias!r}: no request "
            "could find its user.",
            hint=f"Set SECURECORE['DATABASE'] = {written_in!r}, or let db_for_write() of DATABASE_ROUTERS return "
            f"{alias!r} for the models of users.",
            id="securecore.E611",
        )
    ]


def _each_route(names_of: Callable[..., list[str]]) -> Iterator[tuple[type[GrantedView], str]]:
    """Yield each ``GrantedView`` of the URLconf with each name that ``names_of`` returns for it."""
    for callback in callbacks():
        view = getattr(callback, "cls", None) or getattr(callback, "view_class", None)
        if isinstance(view, type) and issubclass(view, GrantedView):
            given = getattr(callback, "initkwargs", None) or getattr(callback, "view_initkwargs", {})
            for name in names_of(view, given, getattr(callback, "actions", None)):
                yield view, name


def _unnamed(view: type[GrantedView], given: dict[str, Any], actions: Actions) -> list[str]:
    permissions = given.get("permission_classes", cast(Any, view).permission_classes)
    if any(permissions_of_class(permissions, HasGrant)):
        return []
    return unnamed_actions(cast(Any, view), given.get("grants", view.grants), actions)


def _unknown(view: type[GrantedView], given: dict[str, Any], actions: Actions) -> list[str]:
    return unknown_names(cast(Any, view), given.get("grants", view.grants), actions)


def _name(view: type[Any]) -> str:
    return f"{view.__module__}.{view.__qualname__}"


def _few(names: list[str]) -> str:
    return f"{', '.join(names[:10])}{f' and {len(names) - 10} more' if len(names) > 10 else ''}"


_POSTGRESQL = ("postgresql", "postgis")
#: ``psycopg.IsolationLevel.READ_COMMITTED``, without an import of psycopg 3, which may be missing (E808).
_READ_COMMITTED = 2

CHECKS = (
    e601_sqlite_immediate,
    e602_read_committed,
    e603_database,
    e604_gate,
    e605_replica,
    e608_unnamed_actions,
    e609_unknown_actions,
    e610_tables,
    e611_users,
)
DATABASE_CHECKS = (w606_triggers, e607_standby)

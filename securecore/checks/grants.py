from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

from django.core.checks import CheckMessage, Error, Warning

from securecore import conf, database
from securecore.checks.urlconf import callbacks
from securecore.conf import django_settings
from securecore.grants import triggers
from securecore.http.authorization.action_names import Actions, asking_permissions, unknown_names, unnamed_actions
from securecore.http.permissions import GrantedView, HasGrant


def _database() -> dict[str, Any]:
    return dict(django_settings.DATABASES.get(conf.settings.DATABASE, {}))


def e601_sqlite_immediate(**_: Any) -> list[CheckMessage]:
    """SQLite has no row locks: only BEGIN IMMEDIATE keeps a check and its effect together."""
    connection = _database()
    is_sqlite = connection.get("ENGINE", "").endswith("sqlite3")
    if not is_sqlite or connection.get("OPTIONS", {}).get("transaction_mode") in ("IMMEDIATE", "EXCLUSIVE"):
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
    """A replica learns of a revocation later; Django knows one only where tests make it a mirror."""
    mirrored = _database().get("TEST", {}).get("MIRROR")
    if not mirrored:
        return []
    return [
        Error(
            f"SECURECORE['DATABASE'] is a replica of {mirrored!r}, where permissions may be read that were revoked.",
            hint=f"Set it to {mirrored!r}.",
            id="securecore.E605",
        )
    ]


def w606_triggers(databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """Only where a database may be asked: ``manage.py check --database default``. A warning, since ``migrate`` itself
    must pass it to mend it.
    """
    if conf.settings.DATABASE not in (databases or ()):
        return []
    missing = triggers.missing()
    if not missing:
        return []
    return [
        Warning(
            f"Changes that go round securecore can be outrun, or end no session: {', '.join(missing)} missing.",
            hint="Run manage.py migrate: it installs the triggers whenever it ends.",
            id="securecore.W606",
        )
    ]


def e607_standby(databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """A hot standby answers every request with what was, and no error tells. Asked where ``w606_triggers`` is."""
    if conf.settings.DATABASE not in (databases or ()) or database.connection().vendor != "postgresql":
        return []
    with database.connection().cursor() as cursor:
        cursor.execute("SELECT pg_is_in_recovery()")
        if not cursor.fetchone()[0]:
            return []
    return [
        Error(
            "SECURECORE['DATABASE'] is a hot standby, which learns of a revocation later than it returns.",
            hint="Let it name the primary, HOST and PORT too: who was revoked may go on while the standby lags.",
            id="securecore.E607",
        )
    ]


def e608_unnamed_actions(**_: Any) -> list[CheckMessage]:
    """An action of a ``GrantedView`` that no name opens is refused by the first request to it."""
    found = sorted({f"{_name(view)}.{action}" for view, action in _each_route(_unnamed)})
    if not found:
        return []
    return [
        Error(
            f"No permission is named for {_few(found)}: every request to it is refused.",
            hint="Name it in `grants` of the view, with None if it needs no grant.",
            id="securecore.E608",
        )
    ]


def e609_unknown_actions(**_: Any) -> list[CheckMessage]:
    """A name in ``GrantedView.grants`` that no action has guards nothing."""
    found = sorted({f"{_name(view)}.grants[{name!r}]" for view, name in _each_route(_unknown)})
    if not found:
        return []
    return [
        Error(
            f"No action has the name in {_few(found)}: it guards nothing.",
            hint="Use the action's name in a viewset (destroy, not delete), and the method's elsewhere (get, post).",
            id="securecore.E609",
        )
    ]


def _each_route(names_of: Callable[..., list[str]]) -> Iterator[tuple[type[GrantedView], str]]:
    """Yield each ``GrantedView`` of the URLconf with each of its names that ``names_of`` finds."""
    for callback in callbacks():
        view = getattr(callback, "cls", None) or getattr(callback, "view_class", None)
        if isinstance(view, type) and issubclass(view, GrantedView):
            given = getattr(callback, "initkwargs", None) or getattr(callback, "view_initkwargs", {})
            for name in names_of(view, given, getattr(callback, "actions", None)):
                yield view, name


def _unnamed(view: type[GrantedView], given: dict[str, Any], actions: Actions) -> list[str]:
    permissions = given.get("permission_classes", cast(Any, view).permission_classes)
    if any(asking_permissions(permissions, HasGrant)):
        return []
    return unnamed_actions(view, given.get("grants", view.grants), actions)


def _unknown(view: type[GrantedView], given: dict[str, Any], actions: Actions) -> list[str]:
    return unknown_names(view, given.get("grants", view.grants), actions)


def _name(view: type[Any]) -> str:
    return f"{view.__module__}.{view.__qualname__}"


def _few(names: list[str]) -> str:
    return f"{', '.join(names[:10])}{f' and {len(names) - 10} more' if len(names) > 10 else ''}"


_POSTGRESQL = ("postgresql", "postgis")

CHECKS = (
    e601_sqlite_immediate,
    e602_read_committed,
    e603_database,
    e604_gate,
    e605_replica,
    e608_unnamed_actions,
    e609_unknown_actions,
)
DATABASE_CHECKS = (w606_triggers, e607_standby)

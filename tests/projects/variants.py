"""The settings that projects change, each as a change of the settings of the suite."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Settings = dict[str, Any]
_ROUTER = "tests.projects.routers."


@dataclass(frozen=True)
class Variant:
    """A project with other settings. ``said`` names them in the table of docs/compatibility.md."""

    said: str
    change: Callable[[Settings], None]
    databases: tuple[str, ...] = ("sqlite", "postgresql")
    #: The modules of packages that the project needs.
    needs: tuple[str, ...] = ()


def _of_database(**changed: Any) -> Callable[[Settings], None]:
    return lambda of: of["DATABASES"]["default"].update(changed)


def _with_options(**options: Any) -> Callable[[Settings], None]:
    return lambda of: of["DATABASES"]["default"].setdefault("OPTIONS", {}).update(options)


def _of_project(**changed: Any) -> Callable[[Settings], None]:
    return lambda of: of.update(changed)


def _in_rest_framework(**changed: Any) -> Callable[[Settings], None]:
    return lambda of: of.update(REST_FRAMEWORK=of["REST_FRAMEWORK"] | changed)


def _two_databases(of: Settings, *, name: str = "security", **more: Any) -> None:
    first = of["DATABASES"]["default"]
    test = dict(first["TEST"]) | ({"NAME": f"{first['TEST']['NAME']}_{name}"} if first["TEST"] else {})
    of["DATABASES"][name] = {**first, "TEST": test | more}


def _everything_elsewhere(of: Settings) -> None:
    _in_second_database(of, router="EverythingInSecurity")


def _apart_from_users(of: Settings) -> None:
    _in_second_database(of, router="SecurecoreInSecurity")


def _in_second_database(of: Settings, *, router: str) -> None:
    _two_databases(of)
    of["DATABASE_ROUTERS"] = [_ROUTER + router]
    of["SECURECORE"] = of["SECURECORE"] | {"DATABASE": "security"}


def _replica(of: Settings) -> None:
    _two_databases(of, name="replica", MIRROR="default")
    of["DATABASE_ROUTERS"] = [_ROUTER + "PrimaryAndReplica"]


def _translated(of: Settings) -> None:
    of.update(LANGUAGE_CODE="de", USE_I18N=True, USE_THOUSAND_SEPARATOR=True, TIME_ZONE="Asia/Kolkata")
    of["MIDDLEWARE"].insert(3, "django.middleware.locale.LocaleMiddleware")


def _without_admin(of: Settings) -> None:
    gone = ("django.contrib.admin", "django.contrib.messages")
    of["INSTALLED_APPS"] = [app for app in of["INSTALLED_APPS"] if app not in gone]
    of["MIDDLEWARE"] = [name for name in of["MIDDLEWARE"] if "messages" not in name]


def _login_required(of: Settings) -> None:
    of["MIDDLEWARE"].insert(-1, "securecore.http.middleware.LoginRequiredMiddleware")


def _without_psycopg_3(of: Settings) -> None:
    sys.modules["psycopg"] = None  # type: ignore[assignment]  # as if it were not installed


VARIANTS = {
    "psycopg_2": Variant("psycopg 2", _without_psycopg_3, ("postgresql",), ("psycopg2",)),
    "no_time_zones": Variant("`USE_TZ=False`", _of_project(USE_TZ=False, TIME_ZONE="America/New_York")),
    "atomic_requests": Variant("`ATOMIC_REQUESTS=True`", _of_database(ATOMIC_REQUESTS=True)),
    "autocommit_off": Variant("`AUTOCOMMIT=False`", _of_database(AUTOCOMMIT=False)),
    "replica": Variant("a router of primary and replica, without `allow_relation`", _replica),
    "everything_elsewhere": Variant("users and securecore in a second database", _everything_elsewhere),
    "apart_from_users": Variant("securecore in another database than the users", _apart_from_users),
    "kept_connections": Variant(
        "`CONN_MAX_AGE`, `CONN_HEALTH_CHECKS`", _of_database(CONN_MAX_AGE=60, CONN_HEALTH_CHECKS=True)
    ),
    "pool": Variant(
        "Django's connection pool",
        _with_options(pool={"min_size": 1, "max_size": 2}),
        ("postgresql",),
        ("psycopg_pool",),
    ),
    "server_side_binding": Variant(
        "`server_side_binding`, `prepare_threshold`",
        _with_options(server_side_binding=True, prepare_threshold=2),
        ("postgresql",),
    ),
    "repeatable_read": Variant("`isolation_level` REPEATABLE READ", _with_options(isolation_level=3), ("postgresql",)),
    "read_committed": Variant("`isolation_level` READ COMMITTED", _with_options(isolation_level=2), ("postgresql",)),
    "local_sqlite": Variant("`TIME_ZONE` of an SQLite database", _of_database(TIME_ZONE="Asia/Kolkata"), ("sqlite",)),
    "deferred_sqlite": Variant("`transaction_mode` DEFERRED", _with_options(transaction_mode="DEFERRED"), ("sqlite",)),
    "translated": Variant("another language, number format and time zone", _translated),
    "no_admin": Variant("no `django.contrib.admin`", _without_admin),
    "login_required": Variant("securecore's `LoginRequiredMiddleware`", _login_required),
    "own_schema_class": Variant(
        "another `DEFAULT_SCHEMA_CLASS`",
        _in_rest_framework(DEFAULT_SCHEMA_CLASS="tests.projects.schema.OwnSchema"),
    ),
    "default_rest_framework": Variant(
        "REST framework's own renderers, parsers and throttles",
        _in_rest_framework(
            DEFAULT_RENDERER_CLASSES=[
                "rest_framework.renderers.JSONRenderer",
                "rest_framework.renderers.BrowsableAPIRenderer",
            ],
            DEFAULT_PARSER_CLASSES=["rest_framework.parsers.MultiPartParser"],
            DEFAULT_THROTTLE_CLASSES=["rest_framework.throttling.UserRateThrottle"],
            DEFAULT_THROTTLE_RATES={"user": "1000/min"},
            DEFAULT_VERSIONING_CLASS="rest_framework.versioning.AcceptHeaderVersioning",
        ),
    ),
    "small_keys": Variant(
        "`DEFAULT_AUTO_FIELD` of four bytes", _of_project(DEFAULT_AUTO_FIELD="django.db.models.AutoField")
    ),
}

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import apps
from django.core.checks import CheckMessage, Error, Warning
from rest_framework.settings import api_settings

from securecore import conf, database
from securecore.caller import why_not_leased
from securecore.conf import django_settings
from securecore.http.authentication import OwnAuthentication

_LONGEST_LEASE = 1_000
_DJANGO_S = "django.contrib.auth.middleware.AuthenticationMiddleware"
_OURS = "securecore.http.middleware.AuthenticationMiddleware"


def w701_short_leases(**_: object) -> list[CheckMessage]:
    """Whoever revokes, and whoever logs out, waits as long as a lease may live."""
    if conf.settings.LEASE_MS <= _LONGEST_LEASE:
        return []
    return [
        Warning(
            f"Every revocation and every logout takes {conf.settings.LEASE_MS / 1000:g} s longer.",
            hint="Set SECURECORE['LEASE_MS'] to 250 or less: a busy client's cost is saved there already.",
            id="securecore.W701",
        )
    ]


def w702_our_classes_first(**_: object) -> list[CheckMessage]:
    """A class of another package that stands before ours answers, and no class of ours is asked about the certificate
    or session beside it.
    """
    classes: list[Any] = list(api_settings.DEFAULT_AUTHENTICATION_CLASSES)
    own = [index for index, each in enumerate(classes) if issubclass(each, OwnAuthentication)]
    foreign = [each.__name__ for each in classes[: max(own, default=0)] if not issubclass(each, OwnAuthentication)]
    if not foreign:
        return []
    return [
        Warning(
            f"{', '.join(foreign)} may authenticate a user beside the certificate or session of another one.",
            hint="Put the classes of securecore first in REST_FRAMEWORK['DEFAULT_AUTHENTICATION_CLASSES']: they let "
            "the class answer that takes the Authorization header, and compare its user.",
            id="securecore.W702",
        )
    ]


def w703_authentication_middleware(**_: object) -> list[CheckMessage]:
    if _DJANGO_S not in django_settings.MIDDLEWARE:
        return []
    return [
        Warning(
            "Plain Django views accept a request whose access token is bad, or is another user's than the session.",
            hint=f"Put {_OURS!r} into MIDDLEWARE in place of {_DJANGO_S!r}.",
            id="securecore.W703",
        )
    ]


def w704_leases_have_no_effect(**_: Any) -> list[CheckMessage]:
    """Report that every request reads, although leases are on: another tenant's answer could be the lease."""
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
    """Report that leases are on where PostgreSQL hides rows, by a session variable that no lease knows. It asks the
    database, as ``manage.py check --database default`` allows.
    """
    is_asked = conf.settings.DATABASE in (databases or ()) and database.connection().vendor == "postgresql"
    if not is_asked or not conf.settings.LEASE_MS:
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


def _tables() -> list[str]:
    ours: list[Any] = [*apps.get_app_config("securecore").get_models()]
    user = apps.get_model(conf.django_settings.AUTH_USER_MODEL)
    return [model._meta.db_table for model in (*ours, user, *user._meta.get_parent_list())]


CHECKS = (
    w701_short_leases,
    w702_our_classes_first,
    w703_authentication_middleware,
    w704_leases_have_no_effect,
)
DATABASE_CHECKS = (e705_row_level_security,)

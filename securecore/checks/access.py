from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import apps
from django.core.checks import CheckMessage, Error, Warning

from securecore import conf, db
from securecore.access import why_not_leased

_LONGEST_LEASE = 1_000


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


def w702_leases_have_no_effect(**_: Any) -> list[CheckMessage]:
    """Report that every request reads, although leases are on: another tenant's answer could be the lease."""
    if not conf.settings.LEASE_MS or not (reason := why_not_leased(db.connection())):
        return []
    return [
        Warning(
            f"SECURECORE['LEASE_MS'] has no effect: {reason}.",
            hint="Set it to 0: no revocation waits then.",
            id="securecore.W702",
        )
    ]


def e703_row_level_security(databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """Report that leases are on where PostgreSQL hides rows, by a session variable that no lease knows. It asks the
    database, as ``manage.py check --database default`` allows.
    """
    is_asked = conf.settings.DATABASE in (databases or ()) and db.connection().vendor == "postgresql"
    if not is_asked or not conf.settings.LEASE_MS:
        return []
    with db.connection().cursor() as cursor:
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
            id="securecore.E703",
        )
    ]


def _tables() -> list[str]:
    ours: list[Any] = [*apps.get_app_config("securecore").get_models()]
    user = apps.get_model(conf.django_settings.AUTH_USER_MODEL)
    return [model._meta.db_table for model in (*ours, user, *user._meta.get_parent_list())]


CHECKS = (w701_short_leases, w702_leases_have_no_effect)
DATABASE_CHECKS = (e703_row_level_security,)

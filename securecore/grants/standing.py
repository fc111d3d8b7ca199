"""The second statement of a check: the grants, and whether user, certificate and service are still in good standing.

It names tables of other features, as every composed statement does, and imports none of them.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.contrib.auth import get_user_model

from securecore import db
from securecore.grants import effective
from securecore.grants.effective import EVERYTHING, EffectiveGrant
from securecore.grants.gate import caller
from securecore.grants.principals import user_key


@dataclass(frozen=True, slots=True)
class Standing:
    #: Why the caller may do nothing at all, or nothing.
    refusal: str
    grants: list[EffectiveGrant]


def read(names: Sequence[str], permissions: Sequence[str], *, now: dt.datetime) -> Standing:
    """Return what the database says now of the caller with these own names, and of its grants of ``permissions``."""
    parameters = caller(names) | effective.parameters(now)
    wanted = {f"sc_wanted{index}": name for index, name in enumerate((*permissions, EVERYTHING))}
    with db.connection().cursor() as cursor:
        cursor.execute(_statement(tuple(names), len(wanted), user_key(names) is not None), parameters | wanted)
        rows = cursor.fetchall()
    return Standing(rows[0][0], effective.read(row[1:] for row in rows))


def _statement(names: tuple[str, ...], wanted: int, has_user: bool) -> str:
    own = [f"%(sc_name{index})s" for index in range(len(names))]
    among = [f"%(sc_wanted{index})s" for index in range(wanted)]
    grants = effective.effective_sql(names=own, user="%(sc_user)s" if has_user else None, permissions=among)
    refusals = "".join(_refusal(name, f"%(sc_name{index})s") for index, name in enumerate(names))
    refusal = f"CASE {refusals} ELSE '' END"
    return f"SELECT {refusal}, e.* FROM ({grants}) e"  # noqa: S608


def _refusal(name: str, parameter: str) -> str:
    """The WHEN that refuses this name; ``parameter`` stands for it."""
    if name.startswith("user:"):
        return f"WHEN NOT EXISTS ({_active_user('%(sc_user)s')}) THEN 'user-inactive' "
    value = f"substr({parameter}, {name.index(':') + 2})"
    if name.startswith("service:"):
        disabled = f"SELECT 1 FROM securecore_client WHERE client_id = {value} AND disabled_at IS NOT NULL"  # noqa: S608
        return f"WHEN EXISTS ({disabled}) THEN 'service-disabled' "
    rows = f"SELECT 1 FROM securecore_certificate c WHERE c.thumbprint = {value} AND "  # noqa: S608
    return (
        f"WHEN EXISTS ({rows} c.revoked_at IS NOT NULL) THEN 'certificate-revoked' "
        f"WHEN EXISTS ({rows} c.user_id IS NOT NULL AND NOT EXISTS ({_active_user('c.user_id')})) THEN 'user-inactive' "
    )


def _active_user(key: str) -> str:
    return _active_users(get_user_model()).replace("<user>", key)


@lru_cache(maxsize=4)
def _active_users(user: Any) -> str:
    active = any(field.name == "is_active" for field in user._meta.concrete_fields)
    table, column = f'"{user._meta.db_table}"', f'"{user._meta.pk.column}"'
    return f"SELECT 1 FROM {table} u WHERE u.{column} = <user>" + (" AND u.is_active" if active else "")  # noqa: S608

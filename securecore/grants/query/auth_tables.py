"""SQL fragments over the tables of ``django.contrib.auth``: the principal of a user, its groups and its permissions.

Other modules compose statements of these fragments. The functions work with every user model; ``user`` is the SQL
expression of the user's primary key. ``caller.user_table`` has the columns of the user model itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.apps import apps
from django.contrib.auth import get_user_model
from django.db import models

from securecore import database

#: The permission of a superuser where Django's permissions are read as grants.
EVERYTHING = "*"


@dataclass(frozen=True)
class Through:
    """A many-to-many table of the user model, with its columns for the user and for the other side, all quoted."""

    name: str
    user: str
    other: str


def through(user_model: Any, name: str) -> Through | None:
    """Return the table of a many-to-many relation of the user model, or None if the model lacks the relation."""
    field: Any = next((field for field in user_model._meta.many_to_many if field.name == name), None)
    if field is None:
        return None
    names = (field.m2m_db_table(), field.m2m_column_name(), field.m2m_reverse_name())
    return Through(*(f'"{name}"' for name in names))


def as_text(field: Any, expression: str) -> str:
    """Return an SQL expression of the text that ``str()`` gives in Python for a value of ``field``."""
    if isinstance(field, models.UUIDField) and database.connection().vendor == "sqlite":  # stored without its hyphens
        parts = ((1, 8), (9, 4), (13, 4), (17, 4), (21, 12))
        return "(" + " || '-' || ".join(f"substr({expression}, {start}, {length})" for start, length in parts) + ")"
    # ``varchar`` without a length: PostgreSQL would cut a longer key, and two users with the same beginning of the key
    # would be one principal.
    return f"CAST({expression} AS varchar)"


def name_sql(user: str) -> str:
    """Return the expression of the user's own principal."""
    return f"'user:' || {as_text(get_user_model()._meta.pk, user)}"


def groups_sql(user: str) -> str:
    """Return a SELECT of the principals of the user's groups, or an empty string for a user model without groups."""
    return _groups(get_user_model(), database.connection().vendor).replace("<user>", user)


def permissions_sql(user: str) -> str:
    """Return a SELECT of the user's Django permissions as grants, in the columns of ``EffectiveGrant``.

    They are the user's own permissions, those of its groups, and ``*`` for a superuser. The result is an empty string
    for a user model without any of these.
    """
    return _permissions(get_user_model(), database.connection().vendor).replace("<user>", user)


@lru_cache(maxsize=4)
def _groups(user_model: Any, vendor: str) -> str:
    table = through(user_model, "groups")
    if table is None:
        return ""
    key = as_text(apps.get_model("auth.Group")._meta.pk, f"m.{table.other}")
    return f"SELECT 'group:' || {key} FROM {table.name} m WHERE m.{table.user} = <user>"  # noqa: S608


@lru_cache(maxsize=4)
def _permissions(user_model: Any, vendor: str) -> str:
    permissions = []
    if (own := through(user_model, "user_permissions")) is not None:
        permissions.append(f"SELECT m.{own.other} FROM {own.name} m WHERE m.{own.user} = <user>")  # noqa: S608
    if (groups := through(user_model, "groups")) is not None:
        permissions.append(
            f"SELECT p.permission_id FROM auth_group_permissions p JOIN {groups.name} m "  # noqa: S608
            f"ON m.{groups.other} = p.group_id WHERE m.{groups.user} = <user>"
        )
    selects = []
    row = (
        f"SELECT {name_sql('<user>')}, CAST(NULL AS bigint), <permission> AS permission, "
        f"'' AS object_type, '' AS object_id, FALSE AS denies, "
        f"CAST(NULL AS integer), CAST(NULL AS bigint), CAST(NULL AS integer)"
    )
    if permissions:
        dotted = "t.app_label || '.' || p.codename"
        selects.append(
            f"{row.replace('<permission>', dotted)} FROM auth_permission p JOIN django_content_type t "
            f"ON t.id = p.content_type_id WHERE p.id IN ({' UNION '.join(permissions)})"
        )
    for flag in (field.column for field in user_model._meta.concrete_fields if field.name == "is_superuser"):
        table, key = user_model._meta.db_table, user_model._meta.pk.column
        everything = row.replace("<permission>", f"'{EVERYTHING}'")
        # The alias must be new: <user> may be a column of the same table in the statement around this SELECT.
        selects.append(f'{everything} FROM "{table}" su WHERE su."{key}" = <user> AND su."{flag}"')
    return " UNION ALL ".join(selects)

"""SQL fragments over the tables of ``django.contrib.auth``: the principal of a user, its groups and its permissions.

Other modules compose statements of these fragments. The functions work with every user model that the system checks
accept; ``user`` is the SQL expression of the user's primary key. ``caller.user_table`` has the columns of the user
model itself, ``user_model`` the facts about its fields.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from django.apps import apps
from django.contrib.auth import get_user_model
from django.db import models

from securecore import database, user_model
from securecore.user_model import Relation

#: The permission of a superuser where Django's permissions are read as grants.
EVERYTHING = "*"


def group_model() -> Any:
    return apps.get_model("auth.Group")


def permission_model() -> Any:
    return apps.get_model("auth.Permission")


def groups_of_users() -> Relation | None:
    """Return the relation of users to Django's groups, or None if the user model has none."""
    return user_model.relation("groups", group_model())


def permissions_of_users() -> Relation | None:
    """Return the relation of users to Django's permissions, or None if the user model has none."""
    return user_model.relation("user_permissions", permission_model())


def permissions_of_groups() -> Relation:
    """Return the relation of groups to permissions; its column ``user`` names the group."""
    field = group_model()._meta.get_field("permissions")
    return Relation(field.m2m_db_table(), field.m2m_column_name(), field.m2m_reverse_name())


def quoted(name: Any) -> str:
    """Return the name of a table or column as SQL. Django leaves a name with quotes, which may have a schema."""
    return str(database.connection().ops.quote_name(name))


def as_text(field: Any, expression: str) -> str:
    """Return an SQL expression of the text that ``str()`` gives in Python for a value of ``field``."""
    is_uuid = isinstance(user_model.value_field(field), models.UUIDField)
    if is_uuid and not database.connection().features.has_native_uuid_field:  # stored without its hyphens
        parts = ((1, 8), (9, 4), (13, 4), (17, 4), (21, 12))
        return "(" + " || '-' || ".join(f"substr({expression}, {start}, {length})" for start, length in parts) + ")"
    # ``varchar`` without a length: PostgreSQL would cut a longer key, and two users with the same beginning of the key
    # would be one principal.
    return f"CAST({expression} AS varchar)"


def name_sql(user: str) -> str:
    """Return the expression of the user's own principal."""
    return f"'user:' || {as_text(user_model.key_field(), user)}"


def users_sql(user: str, model: Any = None) -> str:
    """Return a SELECT of the user's row as ``u``, or of its row in the table of a parent ``model``, to go on with AND.

    The alias is new in each statement: ``user`` may be a column of the same table in the statement around this SELECT.
    """
    meta = (model or get_user_model())._meta
    return f"SELECT 1 FROM {quoted(meta.db_table)} u WHERE u.{quoted(meta.pk.column)} = {user}"  # noqa: S608


def flag_sql(name: str, user: str) -> str:
    """Return the condition `` AND ...`` that a flag of the row ``u`` is true; an empty text without such a column."""
    field = user_model.flag(name)
    if field is None:
        return ""
    column = quoted(field.column)
    if field.model._meta.db_table == get_user_model()._meta.db_table:
        return f" AND u.{column}"
    parent = users_sql(user, field.model).replace(" u WHERE u.", " p WHERE p.")
    return f" AND EXISTS ({parent} AND p.{column})"


def groups_sql(user: str) -> str:
    """Return a SELECT of the principals of the user's groups, or an empty string for a user model without groups."""
    return _groups(get_user_model(), database.connection().vendor).replace("<user>", user)


def permissions_sql(user: str) -> str:
    """Return a SELECT of the user's Django permissions as grants, in the columns of ``EffectiveGrant``.

    They are the user's own permissions, those of its groups, and ``*`` for a superuser. The result is an empty string
    for a user model without any of these.
    """
    return _permissions(get_user_model(), database.connection().vendor).replace("<user>", user)


def superusers_sql() -> str:
    """Return a SELECT of the principals of all superusers; an empty string for a user model without the column."""
    field = user_model.flag("is_superuser")
    if field is None:
        return ""
    meta = field.model._meta
    name = name_sql(f"u.{quoted(meta.pk.column)}")
    return f"SELECT {name} FROM {quoted(meta.db_table)} u WHERE u.{quoted(field.column)}"  # noqa: S608


@lru_cache(maxsize=4)
def _groups(_model: Any, _vendor: str) -> str:
    table = groups_of_users()
    if table is None:
        return ""
    key = as_text(group_model()._meta.pk, f"m.{quoted(table.other)}")
    return f"SELECT 'group:' || {key} FROM {quoted(table.table)} m WHERE m.{quoted(table.user)} = <user>"  # noqa: S608


@lru_cache(maxsize=4)
def _permissions(_model: Any, _vendor: str) -> str:
    own, groups = permissions_of_users(), groups_of_users()
    held = [_held(table, of) for table, of in ((own, None), (groups, permissions_of_groups())) if table is not None]
    selects = []
    row = (
        f"SELECT {name_sql('<user>')}, CAST(NULL AS bigint), <permission> AS permission, "
        f"'' AS object_type, '' AS object_id, FALSE AS denies, "
        f"CAST(NULL AS integer), CAST(NULL AS bigint), CAST(NULL AS integer)"
    )
    if held:
        dotted = "t.app_label || '.' || p.codename"
        selects.append(
            f"{row.replace('<permission>', dotted)} FROM auth_permission p JOIN django_content_type t "
            f"ON t.id = p.content_type_id WHERE p.id IN ({' UNION '.join(held)})"
        )
    if user_model.flag("is_superuser") is not None:
        everything = row.replace("<permission>", f"'{EVERYTHING}'")
        selects.append(f"{everything} WHERE EXISTS ({users_sql('<user>')}{flag_sql('is_superuser', '<user>')})")
    return " UNION ALL ".join(selects)


def _held(table: Relation, of_group: Relation | None) -> str:
    """Return a SELECT of the keys of permissions that a user has itself, or by the groups of ``table``."""
    members = f"FROM {quoted(table.table)} m"
    of_user = f"WHERE m.{quoted(table.user)} = <user>"
    if of_group is None:
        return f"SELECT m.{quoted(table.other)} {members} {of_user}"
    return (
        f"SELECT p.{quoted(of_group.other)} {members} JOIN {quoted(of_group.table)} p "
        f"ON p.{quoted(of_group.user)} = m.{quoted(table.other)} {of_user}"
    )

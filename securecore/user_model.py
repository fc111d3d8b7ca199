"""Facts about ``AUTH_USER_MODEL`` that SQL needs, as Django's model layer has them: its key, its flags, its relations.

A field may have a column of another name, may stand in the table of a parent model, or may be missing: no name of a
field is a column here.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

from django.apps import apps
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Field, Q

from securecore.errors import Misuse

#: The fields that decide whether a user is a caller, and of which privileges.
FLAGS = ("is_active", "is_staff", "is_superuser")

AnyField: TypeAlias = "Field[Any, Any]"


class Relation(NamedTuple):
    """A many-to-many relation of the user model: its table, and its columns for the user and for the other side."""

    table: str
    user: str
    other: str


def value_field(field: Any) -> AnyField:
    """Return the field that holds the values of ``field``: for a relation, for example a parent link, its target."""
    while field.remote_field is not None:
        field = field.target_field
    return field  # type: ignore[no-any-return]


def key_field() -> AnyField:
    """Return the field that holds the values of the user's primary key."""
    return value_field(get_user_model()._meta.pk)


def key_of(presented: str, connection: Any, key: Any = None) -> Any:
    """Return a primary key in the form of the database, or None for a text that cannot be a key.

    ``key`` is the primary key field of another model than the user model.
    """
    field = key_field() if key is None else value_field(key)
    try:
        value = field.to_python(presented)
        if isinstance(field, models.IntegerField) and not _is_in_range(value, field, connection):
            return None
        return field.get_db_prep_value(value, connection)
    except (ValidationError, ValueError, OverflowError):
        return None


def _is_in_range(value: int, field: models.IntegerField[Any, Any], connection: Any) -> bool:
    lowest, highest = connection.ops.integer_field_range(field.get_internal_type())
    return (lowest is None or lowest <= value) and (highest is None or value <= highest)


def flag(name: str) -> AnyField | None:
    """Return the field of a flag, also of a parent model, or None if the flag is missing or is no column."""
    return next((field for field in get_user_model()._meta.concrete_fields if field.name == name), None)


def active(path: str = "") -> Q:
    """Return the condition that the user at ``path`` is active; no condition for a user model without the column.

    A property of the user model is no column. The one query and the permission query read the same column.
    """
    return Q((f"{path}is_active", True)) if flag("is_active") is not None else Q()


def relation(name: str, to: type[models.Model]) -> Relation | None:
    """Return the relation ``name`` of the user model if its other side is ``to`` or a child of ``to``, else None.

    A model of the project that is named like Django's has other rows under the same keys. Example: the team with the
    key 3 is not the group with the key 3.
    """
    field = relation_field(name)
    if field is None or not issubclass(field.related_model, to):
        return None
    return Relation(field.m2m_db_table(), field.m2m_column_name(), field.m2m_reverse_name())


def relation_field(name: str) -> Any:
    """Return the many-to-many field ``name`` of the user model, or None."""
    return next((field for field in get_user_model()._meta.many_to_many if field.name == name), None)


def require_groups() -> None:
    """Raise ``Misuse`` for a user model without groups of Django."""
    if relation("groups", apps.get_model("auth.Group")) is None:
        raise Misuse("The users of this project have no groups of Django. Change their own relation instead.")


def is_member(user: models.Model, group: models.Model, alias: str) -> bool:
    """Say whether the database ``alias`` has the membership, also where the managers of both models hide it."""
    field = relation_field("groups")
    rows = field.remote_field.through._base_manager.using(alias)
    return bool(rows.filter(**{field.m2m_field_name(): user.pk, field.m2m_reverse_field_name(): group.pk}).exists())


def require_settable_activity() -> None:
    """Raise ``Misuse`` for a user model without a column ``is_active`` that a statement can set."""
    field = flag("is_active")
    if field is None or getattr(field, "generated", False):
        raise Misuse(
            "deactivate_user() sets is_active, which is no column of the user model, or is generated from others. "
            "Change these columns: the triggers end the sessions and tokens. Without such a column call "
            "end_sessions(user=user), revoke_user_tokens(user) and revoke_all_grants()."
        )

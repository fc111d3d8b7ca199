"""The system checks of the user model: whether SQL can name its users, and can read the flag of active ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.core.checks import CheckMessage, Error
from django.db import models

from securecore import user_model
from securecore.grants.models import Grant

#: Fields with the same text in Python and in SQL (``auth_tables.as_text``).
_NAMING = (models.IntegerField, models.CharField, models.TextField, models.UUIDField)
#: Methods by which a field gives Python another value than the database.
_CONVERSIONS = ("from_db_value", "to_python", "get_prep_value", "get_db_prep_value")
_PRINCIPAL = "user:"


def e801_key(**_: Any) -> list[CheckMessage]:
    """Report a primary key that reads otherwise in Python than in SQL: a trigger would close the gate of nobody."""
    key = user_model.key_field()
    foreign = [name for name in _CONVERSIONS if not _is_djangos(key, name)]
    if isinstance(key, _NAMING) and not foreign:
        return []
    return [
        Error(
            f"SQL cannot name the users of {_label()}: its key {key.name!r} is a {type(key).__name__}, "
            f"which Python reads in another form than SQL{' (' + ', '.join(foreign) + ')' if foreign else ''}.",
            hint="Make the key a plain integer, UUID or text field, and keep the encoded form in a field beside it.",
            id="securecore.E801",
        )
    ]


def e802_flags(**_: Any) -> list[CheckMessage]:
    """Report a flag that SQL cannot read as a boolean: a check behind the gate would not see a deactivated user."""
    wrong = sorted(_unreadable_flags())
    if not wrong:
        return []
    return [
        Error(
            f"SQL cannot read {', '.join(wrong)} of {_label()}, which is no boolean column.",
            hint="Make it a BooleanField, for example is_active = models.GeneratedField(expression="
            "models.Q(status='active'), output_field=models.BooleanField(), db_persist=True).",
            id="securecore.E802",
        )
    ]


def e803_references(**_: Any) -> list[CheckMessage]:
    """Report a relation or a parent's table that names a user or a group by another value than its primary key."""
    wrong = sorted(set(_foreign_references()))
    if not wrong:
        return []
    return [
        Error(
            f"{', '.join(wrong)} of {_label()} refers to another value than the primary key.",
            hint="Make the parent link the primary key (primary_key=True), and remove to_field from the relation.",
            id="securecore.E803",
        )
    ]


def e804_long_keys(**_: Any) -> list[CheckMessage]:
    """Report a text key that may be longer than the name of a principal: such a user could get no grant."""
    key, longest = user_model.key_field(), Grant._meta.get_field("principal").max_length or 0
    room = longest - len(_PRINCIPAL)
    if not isinstance(key, (models.CharField, models.TextField)) or (key.max_length or room + 1) <= room:
        return []
    return [
        Error(
            f"A user of {_label()} with a key of more than {room} characters can get no grant, and cannot log in.",
            hint=f"Give the key {key.name!r} a max_length of {room} or less.",
            id="securecore.E804",
        )
    ]


def _label() -> str:
    return str(get_user_model()._meta.label)


def _is_djangos(field: Any, name: str) -> bool:
    method = getattr(type(field), name, None)
    return method is None or method.__module__.startswith("django.")


def _unreadable_flags() -> Iterator[str]:
    for name in ("is_active", "is_superuser"):
        field, attribute = user_model.flag(name), getattr(get_user_model(), name, True)
        if field is None:
            # AbstractBaseUser has is_active = True: no user of the model is ever inactive.
            if name == "is_active" and attribute is not True:
                yield name
        elif not isinstance(getattr(field, "output_field", field), models.BooleanField):
            yield name


def _foreign_references() -> Iterator[str]:
    """Yield the names of flags and relations whose table names its user, group or permission by no primary key."""
    key = user_model.key_field()
    for field in filter(None, map(user_model.flag, user_model.FLAGS)):
        if user_model.value_field(field.model._meta.pk) is not key:
            yield field.name
    for name, to in (("groups", Group), ("user_permissions", Permission)):
        field = user_model.relation_field(name)
        if user_model.relation(name, to) is None:
            continue
        through = field.remote_field.through._meta
        of_user, of_other = (
            user_model.value_field(through.get_field(side))
            for side in (field.m2m_field_name(), field.m2m_reverse_field_name())
        )
        if of_user is not key or of_other is not user_model.value_field(to._meta.pk):
            yield name


CHECKS = (e801_key, e802_flags, e803_references, e804_long_keys)

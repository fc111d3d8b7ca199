"""The names by which people know principals: find the users of a name, and the names of principals.

Commands and admin pages take the name of a user or an e-mail address, and print ``user:7 (alice)``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.apps import apps
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db.models import Model

from securecore import database, user_model
from securecore.conf import settings
from securecore.texts import is_storable, near, quoted_argument

#: Users of one e-mail address. More than one is a question to the operator, so the rest is not read.
_MOST = 10


def users_named(text: str) -> list[Any]:
    """Return the user with this name, else the users with this e-mail address, at most ten.

    The name has an index. The e-mail address has one if the project made one: without it the query reads the table.
    """
    users = get_user_model()
    if not text or not is_storable(text):
        return []
    try:
        return [users._default_manager.get_by_natural_key(text)]
    except (users.DoesNotExist, ValueError):  # ValueError: a name that is a number, in a project whose names are
        pass
    field = users.get_email_field_name() if hasattr(users, "get_email_field_name") else ""
    known = {each.name for each in users._meta.get_fields()}
    if field not in known or "@" not in text:
        return []
    return list(users._default_manager.filter(**{f"{field}__iexact": text})[:_MOST])


def described(principal: str) -> str:
    """Return a principal as people know it: ``user:7 (alice)``, ``group:3 (Tellers)``."""
    return described_all([principal])[principal]


def described_all(principals: Iterable[str]) -> dict[str, str]:
    """Return each principal with its name, by one query for all users and one for all groups."""
    principals = set(principals)
    names = names_of(principals)
    return {each: f"{each} ({names[each]})" if each in names else each for each in principals}


def names_of(principals: Iterable[str]) -> dict[str, str]:
    """Return the names of the users and groups among ``principals``, by the principal: ``{"user:7": "alice"}``."""
    principals = set(principals)
    return _user_names(_keys(principals, "user:")) | _group_names(_keys(principals, "group:"))


def _keys(principals: set[str], kind: str) -> list[str]:
    return [each.removeprefix(kind) for each in principals if each.startswith(kind)]


def _user_names(keys: list[str]) -> dict[str, str]:
    users, field = get_user_model(), user_model.key_field()
    possible = [field.to_python(key) for key in keys if user_model.key_of(key, database.connection()) is not None]
    # The base manager, since the default one may hide a user that was deleted softly.
    rows = users._base_manager.filter(pk__in=possible) if possible else ()
    return {f"user:{row.pk}": row.get_username() for row in rows}


def _group_names(keys: list[str]) -> dict[str, str]:
    rows = apps.get_model("auth.Group").objects.using(settings.DATABASE)
    numbers = [int(key) for key in keys if key.isdecimal() and len(key) < 10]
    return {f"group:{row.pk}": row.name for row in rows.filter(pk__in=numbers)} if numbers else {}


def object_named(text: str) -> Model:
    """Return the object that ``text`` names by its model and key: ``payments.account:7``.

    Raises ``LookupError`` with a sentence for the operator.
    """
    label, _, key = text.partition(":")
    try:
        model = apps.get_model(label)
        found: Model = model._base_manager.using(settings.DATABASE).get(pk=key)
        return found
    except (LookupError, ValueError, ValidationError):
        names = near(label.lower(), (each._meta.label_lower for each in apps.get_models()))
        raise LookupError(
            f"{quoted_argument(text)} names no object: write its model and key, payments.account:7.{names}"
        ) from None
    except model.DoesNotExist:
        raise LookupError(f"There is no {label} with the key {key!r}.") from None

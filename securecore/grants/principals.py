"""Who may be granted something, by name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.apps import apps
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db.models import Model

from securecore.conf import settings
from securecore.errors import Misuse
from securecore.grants.models import ROLE, Grant
from securecore.texts import storable

#: Without control characters, which no log and no terminal shows.
_NAME = re.compile(r"[^\x00-\x1f\x7f-\x9f]+")
#: What acts by itself.
OWN = ("user:", "service:", "certificate:")
#: What a user or another principal belongs to.
DERIVED = ("group:", ROLE)

_LONGEST_PRINCIPAL: int = Grant._meta.get_field("principal").max_length or 0
_LONGEST_OBJECT: int = Grant._meta.get_field("object_id").max_length or 0


def principal_of(user: Any) -> str:
    """Return the principal that stands for ``user`` in grants: ``user:<primary key>``. Service accounts are users
    too.
    """
    return f"user:{user.pk}"


def user(key: str) -> str | None:
    """Return the principal of the user with this primary key, given as text, or None for a text that can be no key."""
    try:
        return f"user:{get_user_model()._meta.pk.to_python(key)}"
    except ValidationError:
        return None


def service(client_id: str) -> str:
    """Return the principal of an OAuth client, for whatever it does with its tokens."""
    return f"service:{client_id}"


def certificate(thumbprint: str) -> str:
    """Return the principal of a client certificate, by its ``x5t#S256``."""
    return f"certificate:{thumbprint}"


def group(of: Any) -> str:
    """Return the principal of a group of Django's: what it is granted, its members have."""
    return f"group:{of.pk}"


def role(name: str) -> str:
    """Return the principal of a role: what it is granted, its holders have. Roles come into being by being used."""
    return f"{ROLE}{name}"


def names_of(principal: str | tuple[str, ...]) -> tuple[str, ...]:
    """Return the caller's own names. Raises ``Misuse`` for what cannot act, and ``TextRefused`` (400) for a name that
    no column holds.
    """
    names = (principal,) if isinstance(principal, str) else principal
    if not names or not all(name.startswith(OWN) for name in names):
        raise Misuse(
            f"{principal!r} is nobody who acts. Name a caller as principal_of(user), principals.service(client_id) or "
            f"principals.certificate(thumbprint); groups and roles follow from them."
        )
    if sum(name.startswith("user:") for name in names) > 1:
        raise Misuse(f"{principal!r} are two users; a caller is one.")
    for name in names:
        storable(name, longest=_LONGEST_PRINCIPAL)
    return names


def require_principal(principal: str) -> str:
    """Return ``principal`` if it can be granted something. Raises ``Misuse``, and ``TextRefused`` (400)."""
    storable(principal, longest=_LONGEST_PRINCIPAL)
    if not principal.startswith(OWN + DERIVED) or principal.endswith(":") or not _NAME.fullmatch(principal):
        raise Misuse(
            f"{principal!r} is no principal. Use principal_of(user), or principals.service(), certificate(), group() "
            f"or role()."
        )
    return principal


def kinds_of(names: Sequence[str]) -> tuple[str, ...]:
    """Return what each of these own names begins with, one of ``OWN``."""
    return tuple(name[: name.index(":") + 1] for name in names)


def user_key(names: Sequence[str]) -> Any:
    """Return the primary key of the user among ``names``, or None if there is none or it cannot exist."""
    for name in names:
        if name.startswith("user:"):
            try:
                return get_user_model()._meta.pk.to_python(name.removeprefix("user:"))
            except ValidationError:
                return None
    return None


@dataclass(frozen=True, slots=True)
class Target:
    """The object of a check. With multi-table inheritance one row is an object of several models, and grants may name
    each of them: ``own`` and its ``parents`` for sure, and ``children`` if the child's row exists.
    """

    own: tuple[str, str] = ("", "")
    parents: tuple[tuple[str, str], ...] = ()
    children: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        return ":".join(filter(None, self.own))


def object_of(obj: Any) -> tuple[str, str]:
    """Return how grants name this object: model label and primary key; two empty texts for None."""
    if obj is None:
        return "", ""
    if obj.pk is None:
        raise Misuse("A permission can only be about an object that has been saved.")
    return obj._meta.concrete_model._meta.label_lower, storable(str(obj.pk), longest=_LONGEST_OBJECT)


def target_of(obj: Any) -> Target:
    """Return every name by which grants may mean this object."""
    own = object_of(obj)
    if obj is None:
        return Target()
    parents, children = _relatives(obj._meta.concrete_model)
    return Target(
        own,
        tuple((parent._meta.label_lower, str(obj._get_pk_val(parent._meta))) for parent in parents),
        tuple((label, own[1]) for label in children),
    )


def target_named(label: str, key: str) -> Target:
    """Return every name of the object with this model label and primary key, also if the object is gone."""
    if not label:
        return Target()
    model = apps.get_model(label)
    obj = model._base_manager.using(settings.DATABASE).filter(pk=key).first()
    return target_of(model(pk=key) if obj is None else obj)


@lru_cache(maxsize=256)
def _relatives(model: type[Model]) -> tuple[tuple[type[Model], ...], tuple[str, ...]]:
    """The models of which each object of ``model`` is an object too, and the labels of those whose objects are objects
    of ``model`` under the same primary key.
    """
    parents: dict[type[Model], None] = dict.fromkeys(
        parent._meta.concrete_model or parent for parent in model._meta.get_parent_list()
    )
    children: list[str] = []
    relations: list[Any] = model._meta.get_fields(include_parents=False, include_hidden=True)
    for relation in relations:
        if getattr(relation, "parent_link", False) and relation.field.primary_key:
            child = relation.related_model
            children += [child._meta.label_lower, *_relatives(child)[1]]
    return tuple(parents), tuple(dict.fromkeys(children))

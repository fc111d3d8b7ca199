"""Principals, the names to which permissions are granted, and targets, the objects of a check.

Examples of principals: ``user:7``, ``service:payments``, ``group:3``. Nothing here reads grants.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.apps import apps
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db.models import Model

from securecore import database, user_model
from securecore.arguments import require_name, require_row, require_user
from securecore.conf import settings
from securecore.errors import Misuse
from securecore.grants.models import ROLE, Grant
from securecore.texts import quoted, storable
from securecore.thumbprints import require_thumbprint, thumbprint_in

#: No control characters, which logs and terminals do not show.
_NAME = re.compile(r"[^\x00-\x1f\x7f-\x9f]+")
#: Prefixes of principals that can be a caller.
OWN = ("user:", "service:", "certificate:")
#: Prefixes of principals that a caller can belong to: groups and roles.
DERIVED = ("group:", ROLE)

_LONGEST_PRINCIPAL: int = Grant._meta.get_field("principal").max_length or 0
_LONGEST_OBJECT: int = Grant._meta.get_field("object_id").max_length or 0


def principal_of(user: Any) -> str:
    """Return the principal of ``user``: ``user:<primary key>``. A service account with a user row is a user too.

    Raises ``Misuse`` without a saved user, for example for an anonymous one.
    """
    require_user(user)
    return f"user:{user.pk}"


def user(key: str) -> str | None:
    """Return the principal of the user with this primary key as text, or None for a text that cannot be a key."""
    try:
        return f"user:{get_user_model()._meta.pk.to_python(key)}"
    except (ValidationError, ValueError, OverflowError):
        return None


def of_subject(subject: Any) -> str | None:
    """Return the principal of the user that a token names as its ``subject``, or None for an empty text.

    Raises ``Misuse`` for a value that cannot be the key of a user: a revocation would close another gate than the
    user's, and would return while an effect of the user is about to commit.
    """
    principal = user(subject) if isinstance(subject, str) and subject else None
    if principal is None and subject != "":
        raise Misuse(f"{quoted(subject)} cannot be the key of a user: write subject=str(user.pk), or token.subject.")
    return principal


def service(client_id: str) -> str:
    """Return the principal of an OAuth client, which is a caller's name in each request with the client's token.

    Raises ``Misuse`` for a client object: the name is its ``client_id``.
    """
    require_name(client_id=client_id)
    return f"service:{client_id}"


def certificate(thumbprint: str) -> str:
    """Return the principal of a client certificate, by its thumbprint in any of its spellings. Raises ``Misuse``."""
    return f"certificate:{require_thumbprint(thumbprint)}"


def group(of: Any) -> str:
    """Return the principal of a Django group. Each member of the group has its permissions. Raises ``Misuse``."""
    require_row(of, Group)
    return f"group:{of.pk}"


def role(name: str) -> str:
    """Return the principal of a role. Each holder of the role has its permissions. A role needs no registration.

    Raises ``Misuse`` for an empty name, and for a value that is no text.
    """
    require_name(role=name)
    return f"{ROLE}{name}"


def names_of(principal: Any) -> tuple[str, ...]:
    """Return the caller's own names as a tuple.

    Raises ``Misuse`` for a principal that cannot be a caller, for example a group, and ``TextRefused`` (400) for a name
    that no column can store.
    """
    names = principal if isinstance(principal, tuple) else (principal,)
    if not names or not all(isinstance(name, str) and name.startswith(OWN) for name in names):
        raise Misuse(
            f"{quoted(principal)} cannot be a caller. Name the caller as principal_of(user), "
            f"principals.service(client_id) or principals.certificate(thumbprint); the check itself adds the "
            f"groups and roles."
        )
    if sum(name.startswith("user:") for name in names) > 1:
        raise Misuse(f"{quoted(principal)} names two users; a caller has at most one.")
    for name in names:
        storable(name, longest=_LONGEST_PRINCIPAL)
    return names


def require_principal(principal: str) -> str:
    """Return ``principal`` if it can get grants. Raises ``Misuse``, and ``TextRefused`` (400)."""
    is_text = isinstance(principal, str)
    if is_text:
        storable(principal, longest=_LONGEST_PRINCIPAL)
    if (
        not is_text
        or not principal.startswith(OWN + DERIVED)
        or principal.endswith(":")
        or not _NAME.fullmatch(principal)
    ):
        raise Misuse(
            f"{quoted(principal)} is no principal. Use principal_of(user), or principals.service(), certificate(), "
            f"group() or role()."
        )
    _require_key(principal)
    return principal


def _require_key(principal: str) -> None:
    """Raise ``Misuse`` for a name in place of a key, for example ``user:alice``, and for another spelling of a key.

    A grant of such a principal would be a row that no check reads, and a revocation would find no grant.
    """
    kind, _, key = principal.partition(":")
    if kind == "certificate":
        is_own, right = thumbprint_in(key) == key, "principals.certificate(thumbprint)"
    elif kind in ("user", "group"):
        field = (get_user_model() if kind == "user" else Group)._meta.pk
        is_possible = user_model.key_of(key, database.connection(), field) is not None
        is_own = is_possible and str(user_model.value_field(field).to_python(key)) == key
        right = "principal_of(user)" if kind == "user" else "principals.group(group)"
    else:
        return
    if not is_own:
        raise Misuse(f"{quoted(principal)} names no {kind} by its key: pass {right}, of securecore.grants.")


def user_key(names: Sequence[str]) -> Any:
    """Return the primary key of the user among ``names`` in the form of the database.

    None stands for names without a user, and for a text that cannot be a key.
    """
    for name in names:
        if name.startswith("user:"):
            return user_model.key_of(name.removeprefix("user:"), database.connection())
    return None


@dataclass(frozen=True, slots=True)
class Target:
    """The object of a check, under every name that a grant may use.

    With multi-table inheritance one row is an object of several models, and a grant may name any of them. ``own`` and
    ``parents`` always exist; a name in ``children`` means this object only if the child's row exists.
    """

    own: tuple[str, str] = ("", "")
    parents: tuple[tuple[str, str], ...] = ()
    children: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        return ":".join(filter(None, self.own))


def object_of(obj: Any) -> tuple[str, str]:
    """Return the model label and primary key by which a grant names this object; two empty texts for None."""
    if obj is None:
        return "", ""
    if isinstance(obj, type) or getattr(obj, "pk", None) is None or not hasattr(obj, "_meta"):
        raise Misuse(f"{quoted(obj)} is no saved object: a permission can only be about a model instance, obj=account.")
    return obj._meta.concrete_model._meta.label_lower, storable(str(obj.pk), longest=_LONGEST_OBJECT)


def target_of(obj: Any) -> Target:
    """Return every name that a grant may use for this object."""
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
    """Return every name of the object with this model label and primary key, also of a deleted object."""
    if not label:
        return Target()
    model = apps.get_model(label)
    obj = model._base_manager.using(settings.DATABASE).filter(pk=key).first()
    return target_of(model(pk=key) if obj is None else obj)


@lru_cache(maxsize=256)
def _relatives(model: type[Model]) -> tuple[tuple[type[Model], ...], tuple[str, ...]]:
    """Return the parent models of ``model``, and the labels of its child models with the same primary key."""
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

"""Which name in ``GrantedView.grants`` a request goes by, and which names are missing or misspelt.

Note [Deny by default]
    An action that is not named runs for nobody: without a name nothing says which permission it needs, and a new action
    of a base class must not be open because nobody thought of it. ``None`` opens an action, in writing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rest_framework.permissions import BasePermission
from rest_framework.views import APIView
from rest_framework.viewsets import GenericViewSet

from securecore.errors import Misuse
from securecore.grants import require_permission

Grants = Mapping[str, str | None]
#: Of a viewset, its actions by method; None for any other view.
Actions = Mapping[str, str] | None

#: Names that may be left out, and the name that then counts.
_STANDS_FOR = {"head": "get", "partial_update": "update"}
_OPTIONS = "options"
#: What REST framework calls the action of OPTIONS in a viewset.
_METADATA = "metadata"

#: That no name says which permission an action needs.
UNNAMED: Any = object()


def permission_for(grants: Grants, method: str, actions: Actions) -> str | None:
    """Return the permission that ``grants`` names for a request of this method, None for an opened action, ``UNNAMED``
    if there is no name.
    """
    name = action_of(method, actions)
    for each in (name, _STANDS_FOR.get(name, name)):
        if each in grants:
            return grants[each]
    return UNNAMED  # type: ignore[no-any-return]


def action_of(method: str, actions: Actions) -> str:
    """Return the name of the action that a request of this method runs; empty if the viewset has none."""
    method = method.lower()
    if actions is None:
        return method
    if method == _OPTIONS:
        return _METADATA
    return actions.get(method) or (actions.get("get", "") if method == "head" else "")


def require_grants(owner: str, grants: Any) -> None:
    """Raise ``Misuse`` unless ``grants`` names permissions, or None, by text."""
    if not isinstance(grants, Mapping) or not all(isinstance(name, str) for name in grants):
        raise Misuse(f'{owner}.grants is a dictionary such as {{"list": "accounts.list", "create": None}}.')
    for permission in grants.values():
        if permission is not None:
            require_permission(permission)


def unnamed_actions(view: type[Any], grants: Grants, actions: Actions) -> list[str]:
    """Return the actions of a route, whose permission classes ask for no grant, that run for nobody: nothing says which
    permission they need. A view that makes its permissions itself (``get_permissions``) is left to its first request.
    """
    if view.get_permissions is not APIView.get_permissions:
        return []
    return [
        action_of(method, actions)
        for method in _handled(view, actions)
        if permission_for(grants, method, actions) is UNNAMED
        and not asks_itself(getattr(view, action_of(method, actions), None))
    ]


def unknown_names(view: type[Any], grants: Grants, actions: Actions) -> list[str]:
    """Return the names in ``grants`` that can be no action of this view, such as "delete" in a viewset."""
    if actions is None:
        return [name for name in grants if name not in view.http_method_names]
    return [name for name in grants if name != _METADATA and not _is_action(view, name)]


def asks_itself(handler: Any) -> bool:
    """Say whether ``handler`` is under ``@requires``."""
    return hasattr(handler, "securecore_requires")


def asking_permissions(permissions: Any, kind: type[BasePermission]) -> Iterator[Any]:
    """Yield the permissions of ``kind`` among these, also inside ``A & B`` and ``A | B``."""
    for each in permissions:
        if isinstance(each, kind):
            yield each
        else:
            parts = (getattr(each, name, None) for name in ("op1", "op2", "op1_class", "op2_class"))
            yield from asking_permissions([part for part in parts if part is not None], kind)


def _handled(view: type[Any], actions: Actions) -> list[str]:
    if actions is not None:
        return list(actions)
    return [name for name in view.http_method_names if name != _OPTIONS and hasattr(view, name)]


def _is_action(view: type[Any], name: str) -> bool:
    return callable(getattr(view, name, None)) and not hasattr(GenericViewSet, name)

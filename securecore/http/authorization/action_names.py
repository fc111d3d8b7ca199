"""Look up the permission of a request's action in ``GrantedView.grants``, and find missing and misspelt action names.

This module reads names only. ``granted_view`` checks the permission.

Note [Deny by default]
    securecore refuses each action that ``grants`` does not name, because no permission is known for the action. A new
    action of a base class must not be open by oversight. To open an action, write ``None`` for it:
    ``grants = {"list": None}``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

from rest_framework.permissions import BasePermission
from rest_framework.views import APIView
from rest_framework.viewsets import GenericViewSet

from securecore.errors import Misuse
from securecore.grants import require_permission

Grants = Mapping[str, str | None]
Permission = TypeVar("Permission", bound=BasePermission)
#: The actions of a viewset by method, for example ``{"post": "create"}``; None for any other view.
Actions = Mapping[str, str] | None

#: Action names that ``grants`` may omit, with the action name that then counts.
_STANDS_FOR = {"head": "get", "partial_update": "update"}
_OPTIONS = "options"
#: REST framework's name for the OPTIONS action of a viewset.
_METADATA = "metadata"

#: Returned instead of a permission if ``grants`` does not name the action.
UNNAMED: Any = object()


def permission_for(grants: Grants, method: str, actions: Actions) -> str | None:
    """Return the permission that ``grants`` names for a request of this method.

    Return None for an open action, and ``UNNAMED`` if ``grants`` does not name the action.
    """
    action = action_of(method, actions)
    for name in (action, _STANDS_FOR.get(action, action)):
        if name in grants:
            return grants[name]
    return UNNAMED  # type: ignore[no-any-return]


def action_of(method: str, actions: Actions) -> str:
    """Return the name of the action that a request of this method runs; an empty string if the viewset has none."""
    method = method.lower()
    if actions is None:
        return method
    if method == _OPTIONS:
        return _METADATA
    return actions.get(method) or (actions.get("get", "") if method == "head" else "")


def require_grants(owner: str, grants: object) -> None:
    """Raise ``Misuse`` unless ``grants`` maps action names to permissions or None."""
    if not isinstance(grants, Mapping) or not all(isinstance(name, str) for name in grants):
        raise Misuse(f'{owner}.grants is a dictionary such as {{"list": "accounts.list", "create": None}}.')
    for permission in grants.values():
        if permission is not None:
            require_permission(permission)


def unnamed_actions(view: type[APIView], grants: Grants, actions: Actions) -> list[str]:
    """Return the actions of a route that are always refused, because no permission is known for them.

    The caller passes a view without ``HasGrant`` in its permission classes. For a view that overrides
    ``get_permissions`` the permissions are known only at the first request, so the result is empty.
    """
    if view.get_permissions is not APIView.get_permissions:
        return []
    return [
        action_of(method, actions)
        for method in _handled(view, actions)
        if permission_for(grants, method, actions) is UNNAMED
        and not has_requires(getattr(view, action_of(method, actions), None))
    ]


def unknown_names(view: type[APIView], grants: Grants, actions: Actions) -> list[str]:
    """Return the names in ``grants`` that are no action of this view, for example "delete" in a viewset."""
    if actions is None:
        return [name for name in grants if name not in view.http_method_names]
    return [name for name in grants if name != _METADATA and not _is_action(view, name)]


def has_requires(handler: object) -> bool:
    """Return whether ``@requires`` decorates ``handler``."""
    return hasattr(handler, "securecore_requires")


def permissions_of_class(permissions: Iterable[object], kind: type[Permission]) -> Iterator[Permission]:
    """Yield the permissions of class ``kind`` in ``permissions``, also inside ``A & B`` and ``A | B``."""
    for permission in permissions:
        if isinstance(permission, kind):
            yield permission
        else:
            parts = (getattr(permission, name, None) for name in ("op1", "op2", "op1_class", "op2_class"))
            yield from permissions_of_class([part for part in parts if part is not None], kind)


def _handled(view: type[APIView], actions: Actions) -> list[str]:
    if actions is not None:
        return list(actions)
    return [name for name in view.http_method_names if name != _OPTIONS and hasattr(view, name)]


def _is_action(view: type[APIView], name: str) -> bool:
    return callable(getattr(view, name, None)) and not hasattr(GenericViewSet, name)

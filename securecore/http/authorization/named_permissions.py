"""The permissions that the views of the URLconf name. A permission that the code of a view computes is not there."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from typing import Any

from securecore.http.authorization.action_names import permissions_of_class
from securecore.http.authorization.granted_view import GrantedView, HasGrant
from securecore.http.idempotency.claim_place import class_of
from securecore.http.urlconf import callbacks


def named_permissions() -> set[str]:
    """Return the permissions in ``@requires``, in ``GrantedView.grants`` and in ``HasGrant`` of each view."""
    return {permission for callback in callbacks() for permission in _named_by(callback)}


def _named_by(callback: Any) -> Iterator[str]:
    view: Any = class_of(callback)
    given = getattr(callback, "initkwargs", None) or getattr(callback, "view_initkwargs", {})
    actions = getattr(callback, "actions", None) or {}
    names = () if view is None else ("dispatch", *view.http_method_names, *actions.values())
    for handler in (callback, *(getattr(view, name, None) for name in names)):
        for function in (handler, *_enclosed(handler)):
            if (permission := getattr(function, "securecore_requires", None)) is not None:
                yield permission
    if view is not None and issubclass(view, GrantedView):
        yield from filter(None, given.get("grants", view.grants).values())
    permissions = given.get("permission_classes", getattr(view, "permission_classes", ()))
    yield from (each.permission for each in permissions_of_class(permissions, HasGrant))


def _enclosed(handler: Any) -> Iterable[Any]:
    """Return the functions that ``handler`` calls, if it is one of ``@api_view``, which keeps none of their marks."""
    return inspect.getclosurevars(handler).nonlocals.values() if inspect.isfunction(handler) else ()

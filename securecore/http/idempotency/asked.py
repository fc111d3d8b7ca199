"""What a handler asked about its caller while it made an answer, so that a replay of the answer asks it again.

Note [What a replay asks again]
    A replay does not run the handler, so a permission that the handler itself asks would be skipped. While the handler
    runs, its questions are noted: permissions asked by ``authorize(request)``, ``late_gate(request)`` and
    ``GrantedView``, and the objects that went through REST framework's ``check_object_permissions()`` and
    ``get_object()``. They are stored beside the answer. A replay asks each of them again, and the answer is given only
    if all are still allowed.

    The decisions of the first run are asked, not those that the URL suggests: after a DELETE ``get_object()`` finds
    nothing, and after a PUT that renamed it, nothing under the old name. An object that is gone has no permissions to
    be asked about but those that grants have for it. An object that ``get_object()`` found must still be among those
    that the view shows to this caller: ``get_queryset()`` if it is about objects of this model, else ``get_object()``
    with the same parts of the URL, for example ``self.get_object(pk)`` of a plain ``APIView``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.apps import apps
from django.db.models import Model
from django.http import Http404
from rest_framework.generics import GenericAPIView

from securecore import clock, database, grants
from securecore.conf import settings
from securecore.errors import IdempotencyNotSupported
from securecore.grants.principals import object_of, target_named
from securecore.http.authorization.authenticated_by import credentials_of
from securecore.http.authorization.principals import principals_of

#: The name beside the headers of a stored answer. It is never sent.
HEADER = "Securecore-Asked"

#: How ``get_object()`` was called to find an object: of each argument its name, empty if it has none, and the name of
#: the part of the URL that it was. True for arguments that are no part of the URL, and False for an object that
#: ``get_object()`` did not find.
Found = list[tuple[str, str]] | bool


class Asked:
    """The questions of one run of a handler, in their order and each once."""

    def __init__(self) -> None:
        self._permissions: dict[tuple[str, str, str], None] = {}
        #: How ``get_object()`` found it, by model and primary key; two empty texts for one that is no saved row.
        self._objects: dict[tuple[str, str], Found] = {}

    def note_permission(self, permission: str, obj: Any) -> None:
        """Note a permission that was asked and granted."""
        self._permissions[permission, *object_of(obj)] = None

    def note_object(self, obj: Any, found: Found) -> None:
        """Note an object whose permissions were asked and granted."""
        is_row = isinstance(obj, Model) and obj.pk is not None
        name = object_of(obj) if is_row else ("", "")
        self._objects[name] = self._objects.get(name, False) if found is False else found

    def headers(self) -> dict[str, str]:
        """Return what is stored beside the headers of the answer; nothing if nothing was asked."""
        if not self._permissions and not self._objects:
            return {}
        objects = [[*name, found] for name, found in self._objects.items()]
        return {HEADER: json.dumps([list(self._permissions), objects])}


def note_permission(caller: Any, permission: str, obj: Any) -> None:
    """Note what was asked about ``caller`` if it is a request whose handler runs under a key."""
    asked: Asked | None = getattr(getattr(caller, "_request", caller), "securecore_asked", None)
    if asked is not None:
        asked.note_permission(permission, obj)


@contextmanager
def noted(request: Any, api_view: Any) -> Iterator[Asked]:
    """Note what the block, a handler of ``api_view`` or of no view of REST framework, asks about its caller."""
    request = getattr(request, "_request", request)
    asked = request.securecore_asked = Asked()
    if api_view is not None:
        _listen(api_view, asked)
    try:
        yield asked
    finally:
        request.securecore_asked = None


def _listen(api_view: Any, asked: Asked) -> None:
    check, find = api_view.check_object_permissions, getattr(api_view, "get_object", None)

    def checked(request: Any, obj: Any) -> None:
        check(request, obj)
        asked.note_object(obj, False)

    def found(*args: Any, **kwargs: Any) -> Any:
        obj = find(*args, **kwargs)  # type: ignore[misc]
        asked.note_object(obj, _arguments(api_view, args, kwargs))
        return obj

    api_view.check_object_permissions = checked
    if find is not None:
        api_view.get_object = found


def ask_again(headers: dict[str, str], request: Any, api_view: Any) -> None:
    """Ask what the handler asked when the stored answer was made (Note [What a replay asks again]). Raises the refusal.

    ``headers`` are those that are stored with the answer.
    """
    if HEADER not in headers:
        return
    permissions, objects = json.loads(headers[HEADER])
    with database.outermost_transaction("a replay"):
        if permissions:
            asked = [(permission, target_named(kind, key)) for permission, kind, key in permissions]
            credentials = credentials_of(request)
            for decision in grants.decide_all(principals_of(request), asked, credentials=credentials, clock=clock.now):
                decision.require()
        for kind, key, found in objects:
            _ask_about(kind, key, found, request, api_view)


def _ask_about(kind: str, key: str, found: Found, request: Any, api_view: Any) -> None:
    if not kind:
        _call_again(api_view, found)
        return
    obj = apps.get_model(kind)._base_manager.using(settings.DATABASE).filter(pk=key).first()
    if obj is None:
        return
    if found is not False:
        obj = _found_again(api_view, obj, found)
    api_view.check_object_permissions(request, obj)


def _found_again(api_view: Any, obj: Model, found: Found) -> Any:
    """Return the object as the view shows it now. Raises ``Http404`` if the view no longer shows it."""
    queryset = _queryset(api_view)
    # Of a proxy model the object is one too, and of a parent model.
    if queryset is None or not isinstance(obj, queryset.model._meta.concrete_model):
        return _call_again(api_view, found)
    key = obj._get_pk_val(queryset.model._meta)
    shown = api_view.filter_queryset(queryset).filter(pk=key).first()
    if shown is None:
        raise Http404
    return shown


def _queryset(api_view: Any) -> Any:
    """Return the queryset of a view of REST framework that has one."""
    find = getattr(type(api_view), "get_queryset", None)
    if find is None or (find is GenericAPIView.get_queryset and api_view.queryset is None):
        return None
    return api_view.get_queryset()


def _arguments(api_view: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Found:
    found = []
    for name, value in [*(("", each) for each in args), *kwargs.items()]:
        part = next((part for part, given in api_view.kwargs.items() if given == value), None)
        if part is None:
            return True
        found.append((name, part))
    return found


def _call_again(api_view: Any, found: Found) -> Any:
    if isinstance(found, bool):
        raise IdempotencyNotSupported  # there is no way to find it once more
    args = [api_view.kwargs[part] for name, part in found if not name]
    return api_view.get_object(*args, **{name: api_view.kwargs[part] for name, part in found if name})

"""The permission checks that a handler made while it built a response; a replay of the response repeats them.

Note [Checks of a replay]
    A replay does not run the handler, so a permission check inside the handler would be skipped. securecore therefore
    records the checks while the handler runs: the permissions of ``authorize(request)``, ``late_gate(request)`` and
    ``GrantedView``, and the objects that went through REST framework's ``check_object_permissions()`` and
    ``get_object()``. The checks are stored beside the response. A replay repeats each check and sends the response only
    if the caller passes all of them.

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
from securecore.http.authorization.caller import caller_of
from securecore.http.request import AnyRequest, state_of

#: The name under which the checks are stored among the headers of the response. This header is never sent.
HEADER = "Securecore-Asked"

#: How ``get_object()`` was called to find an object: of each argument its name, empty if it has none, and the name of
#: the part of the URL that it was. True for arguments that are no part of the URL, and False for an object that
#: ``get_object()`` did not find.
Found = list[tuple[str, str]] | bool


class RecordedChecks:
    """The permission checks of one run of a handler, in their order and without duplicates."""

    def __init__(self) -> None:
        self._permissions: dict[tuple[str, str, str], None] = {}
        #: How ``get_object()`` found it, by model and primary key; two empty texts for one that is no saved row.
        self._objects: dict[tuple[str, str], Found] = {}

    def note_permission(self, permission: str, obj: Any) -> None:
        """Record a permission that was checked and granted."""
        self._permissions[permission, *object_of(obj)] = None

    def note_object(self, obj: Any, found: Found) -> None:
        """Note an object whose permissions were asked and granted."""
        is_row = isinstance(obj, Model) and obj.pk is not None
        name = object_of(obj) if is_row else ("", "")
        self._objects[name] = self._objects.get(name, False) if found is False else found

    def headers(self) -> dict[str, str]:
        """Return the header that stores the checks beside the response; an empty dictionary if there was no check."""
        if not self._permissions and not self._objects:
            return {}
        objects = [[*name, found] for name, found in self._objects.items()]
        return {HEADER: json.dumps([list(self._permissions), objects])}


def note_permission(caller: Any, permission: str, obj: Any) -> None:
    """Record a permission check of ``caller`` if ``caller`` is a request whose handler runs under a key."""
    recorded = state_of(caller).recorded_checks if isinstance(caller, AnyRequest) else None
    if recorded is not None:
        recorded.note_permission(permission, obj)


@contextmanager
def recording_checks(request: Any, api_view: Any) -> Iterator[RecordedChecks]:
    """Record the permission checks of the block, which runs the handler.

    ``api_view`` is the handler's REST framework view, or None for a plain Django view.
    """
    recorded = state_of(request).recorded_checks = RecordedChecks()
    if api_view is not None:
        _listen(api_view, recorded)
    try:
        yield recorded
    finally:
        state_of(request).recorded_checks = None


def _listen(api_view: Any, recorded: RecordedChecks) -> None:
    check, find = api_view.check_object_permissions, getattr(api_view, "get_object", None)

    def check_and_note(request: Any, obj: Any) -> None:
        check(request, obj)
        recorded.note_object(obj, False)

    def find_and_note(*args: Any, **kwargs: Any) -> Any:
        obj = find(*args, **kwargs)  # type: ignore[misc]
        recorded.note_object(obj, _arguments(api_view, args, kwargs))
        return obj

    api_view.check_object_permissions = check_and_note
    if find is not None:
        api_view.get_object = find_and_note


def repeat_checks(headers: dict[str, str], request: Any, api_view: Any) -> None:
    """Repeat the permission checks of the run that built the stored response (Note [Checks of a replay]).

    ``headers`` are the headers stored with the response. Raises the refusal of the first check that fails.
    """
    if HEADER not in headers:
        return
    permissions, objects = json.loads(headers[HEADER])
    with database.outermost_transaction("a replay"):
        if permissions:
            checks = [(permission, target_named(kind, key)) for permission, kind, key in permissions]
            caller = caller_of(request)
            decisions = grants.decide_all(caller.principals, checks, credentials=caller.conditions, clock=clock.now)
            for decision in decisions:
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

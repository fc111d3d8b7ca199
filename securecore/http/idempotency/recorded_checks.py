"""Record the permission checks of a handler while it builds a response. ``repeated_checks`` repeats them for a replay.

Note [Checks of a replay]
    A replay does not run the handler, so it would skip each permission check inside the handler. securecore therefore
    records the checks while the handler runs, and stores them beside the response:

    - the permissions of ``authorize(request)``, ``late_gate(request)`` and ``GrantedView``;
    - the objects that went through ``check_object_permissions()`` of REST framework;
    - the arguments with which the handler called ``get_object()``.

    A replay repeats each check, and sends the response only if the caller passes all of them. It repeats the recorded
    checks and not those that the URL suggests. Example: a PUT renamed the object, so the old name in the URL finds
    nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from django.db.models import Model
from rest_framework.request import Request
from rest_framework.views import APIView

from securecore.grants.principals import object_of
from securecore.http.request import SecureRequest, state_of

#: The name under which the checks are stored among the headers of the response. This header is never sent.
HEADER = "Securecore-Recorded-Checks"

#: The way in which the handler found an object. A list stands for a call of ``get_object()`` with parts of the URL: for
#: each argument its name (empty for a positional argument) and the name of the part. True stands for a call with other
#: arguments, False for an object that the handler found without ``get_object()``.
Lookup = list[tuple[str, str]] | bool


class RecordedChecks:
    """The permission checks of one run of a handler, in their order and without duplicates."""

    def __init__(self) -> None:
        self._permissions: dict[tuple[str, str, str], None] = {}
        #: The lookup of each object, by model and primary key; two empty texts for an object that is no saved row.
        self._objects: dict[tuple[str, str], Lookup] = {}

    def note_permission(self, permission: str, obj: object) -> None:
        """Record a permission that was checked and granted."""
        self._permissions[permission, *object_of(obj)] = None

    def note_object(self, obj: object, lookup: Lookup) -> None:
        """Record an object after the check of its permissions has passed."""
        is_row = isinstance(obj, Model) and obj.pk is not None
        name = object_of(obj) if is_row else ("", "")
        self._objects[name] = self._objects.get(name, False) if lookup is False else lookup

    def headers(self) -> dict[str, str]:
        """Return the header that stores the checks beside the response; an empty dictionary if there was no check."""
        if not self._permissions and not self._objects:
            return {}
        objects = [[*name, lookup] for name, lookup in self._objects.items()]
        return {HEADER: json.dumps([list(self._permissions), objects])}


def note_permission(request: SecureRequest, permission: str, obj: object) -> None:
    """Record a permission check if the handler of ``request`` runs under a key."""
    recorded = state_of(request).recorded_checks
    if recorded is not None:
        recorded.note_permission(permission, obj)


@contextmanager
def recording_checks(request: SecureRequest, api_view: APIView | None) -> Iterator[RecordedChecks]:
    """Record the permission checks of the block, which runs the handler.

    ``api_view`` is the handler's REST framework view, or None for a plain Django view.
    """
    recorded = state_of(request).recorded_checks = RecordedChecks()
    if api_view is not None:
        _record_objects(api_view, recorded)
    try:
        yield recorded
    finally:
        state_of(request).recorded_checks = None


def _record_objects(api_view: APIView, recorded: RecordedChecks) -> None:
    """Let ``check_object_permissions()`` and ``get_object()`` of this instance record their objects."""
    check, get_object = api_view.check_object_permissions, getattr(api_view, "get_object", None)

    def check_and_record(request: Request, obj: object) -> None:
        check(request, obj)
        recorded.note_object(obj, False)

    api_view.check_object_permissions = check_and_record  # type: ignore[method-assign]
    if get_object is None:
        return

    def get_and_record(*args: object, **kwargs: object) -> object:
        obj = get_object(*args, **kwargs)
        recorded.note_object(obj, _lookup(api_view.kwargs, args, kwargs))
        return obj

    api_view.get_object = get_and_record  # type: ignore[attr-defined]


def _lookup(parts: Mapping[str, object], args: tuple[object, ...], kwargs: Mapping[str, object]) -> Lookup:
    """Return the parts of the URL that were the arguments of ``get_object()``; True if an argument is no part."""
    lookup = []
    for name, value in [*(("", each) for each in args), *kwargs.items()]:
        part = next((part for part, given in parts.items() if given == value), None)
        if part is None:
            return True
        lookup.append((name, part))
    return lookup

"""The permission checks that a handler made while it built a response; a replay of the response repeats them.

Note [Checks of a replay]
    A replay does not run the handler, so a permission check inside the handler would be skipped. securecore therefore
    records the checks while the handler runs: the permissions of ``authorize(request)``, ``late_gate(request)`` and
    ``GrantedView``, and the objects that went through REST framework's ``check_object_permissions()`` and
    ``get_object()``. The checks are stored beside the response. A replay repeats each check and sends the response only
    if the caller passes all of them.

    A replay repeats the recorded checks and does not derive checks from the URL. For example after a DELETE
    ``get_object()`` finds no object, and after a PUT that renames the object it finds none under the old name. For an
    object that no longer exists, a replay checks only the grants on that object. An object that ``get_object()``
    returned must still be in the queryset that the view shows to this caller (``get_queryset()``).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.apps import apps
from django.db.models import Model
from django.http import Http404

from securecore import clock, database, grants
from securecore.conf import settings
from securecore.errors import IdempotencyNotSupported
from securecore.grants.principals import object_of, target_named
from securecore.http.authorization.authenticated_by import credentials_of
from securecore.http.authorization.principals import principals_of

#: The name under which the checks are stored among the headers of the response. This header is never sent.
HEADER = "Securecore-Asked"


class RecordedChecks:
    """The permission checks of one run of a handler, in their order and without duplicates."""

    def __init__(self) -> None:
        self._permissions: dict[tuple[str, str, str], None] = {}
        #: By model and primary key: whether ``get_object()`` returned the object. Two empty strings stand for an object
        #: that is no saved row.
        self._objects: dict[tuple[str, str], bool] = {}

    def note_permission(self, permission: str, obj: Any) -> None:
        """Record a permission that was checked and granted."""
        self._permissions[permission, *object_of(obj)] = None

    def note_object(self, obj: Any, *, was_found: bool) -> None:
        """Record an object on which the caller passed the permission check."""
        is_row = isinstance(obj, Model) and obj.pk is not None
        name = object_of(obj) if is_row else ("", "")
        self._objects[name] = self._objects.get(name, False) or was_found

    def headers(self) -> dict[str, str]:
        """Return the header that stores the checks beside the response; an empty dictionary if there was no check."""
        if not self._permissions and not self._objects:
            return {}
        objects = [[*name, was_found] for name, was_found in self._objects.items()]
        return {HEADER: json.dumps([list(self._permissions), objects])}


def note_permission(caller: Any, permission: str, obj: Any) -> None:
    """Record a permission check of ``caller`` if ``caller`` is a request whose handler runs under a key."""
    recorded: RecordedChecks | None = getattr(getattr(caller, "_request", caller), "securecore_recorded_checks", None)
    if recorded is not None:
        recorded.note_permission(permission, obj)


@contextmanager
def recording_checks(request: Any, api_view: Any) -> Iterator[RecordedChecks]:
    """Record the permission checks of the block, which runs the handler.

    ``api_view`` is the handler's REST framework view, or None for a plain Django view.
    """
    request = getattr(request, "_request", request)
    recorded = request.securecore_recorded_checks = RecordedChecks()
    if api_view is not None:
        _listen(api_view, recorded)
    try:
        yield recorded
    finally:
        request.securecore_recorded_checks = None


def _listen(api_view: Any, recorded: RecordedChecks) -> None:
    check, find = api_view.check_object_permissions, getattr(api_view, "get_object", None)

    def check_and_note(request: Any, obj: Any) -> None:
        check(request, obj)
        recorded.note_object(obj, was_found=False)

    def find_and_note(*args: Any, **kwargs: Any) -> Any:
        obj = find(*args, **kwargs)  # type: ignore[misc]
        recorded.note_object(obj, was_found=True)
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
            credentials = credentials_of(request)
            for decision in grants.decide_all(principals_of(request), checks, credentials=credentials, clock=clock.now):
                decision.require()
        for kind, key, was_found in objects:
            _repeat_object_check(kind, key, was_found, request, api_view)


def _repeat_object_check(kind: str, key: str, was_found: bool, request: Any, api_view: Any) -> None:
    if not kind:
        if not was_found:
            raise IdempotencyNotSupported  # an object without a row cannot be found again
        api_view.get_object()
        return
    model = apps.get_model(kind)
    obj = model._base_manager.using(settings.DATABASE).filter(pk=key).first()
    if obj is None:
        return
    if was_found and api_view.get_queryset().model is model:
        obj = api_view.filter_queryset(api_view.get_queryset()).filter(pk=key).first()
        if obj is None:
            raise Http404
    api_view.check_object_permissions(request, obj)

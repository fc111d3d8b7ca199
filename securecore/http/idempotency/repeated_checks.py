"""Repeat the recorded permission checks before a replay (Note [Checks of a replay] in ``recorded_checks``)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

from django.apps import apps
from django.db.models import Model, QuerySet
from django.http import Http404
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.views import APIView

from securecore import clock, database, grants
from securecore.conf import settings
from securecore.errors import IdempotencyNotSupported
from securecore.grants.principals import target_named
from securecore.http.authorization.caller import caller_of
from securecore.http.idempotency.recorded_checks import HEADER, Lookup
from securecore.http.request import AnyRequest


def repeat_checks(headers: Mapping[str, str], request: AnyRequest, api_view: APIView | None) -> None:
    """Repeat the permission checks of the run that built the stored response.

    ``headers`` are the headers stored with the response. Raises the refusal of the first check that fails.
    """
    if HEADER not in headers:
        return
    permissions, objects = json.loads(headers[HEADER])
    with database.outermost_transaction("a replay"):
        if permissions:
            checks = [(permission, target_named(kind, key)) for permission, kind, key in permissions]
            caller = caller_of(request)
            decisions = grants.decide_all(caller.principals, checks, conditions=caller.conditions, clock=clock.now)
            for decision in decisions:
                decision.require()
        for kind, key, lookup in objects:
            assert api_view is not None  # noqa: S101  # only a view of REST framework records objects
            _repeat_object_check(kind, key, lookup, request, api_view)


def _repeat_object_check(kind: str, key: str, lookup: Lookup, request: AnyRequest, api_view: APIView) -> None:
    """Check the permissions of one recorded object.

    A deleted object passes. ``repeat_checks`` has already checked its grants, and REST framework's own permissions
    cannot be checked without the object.
    """
    if not kind:
        _look_up(api_view, lookup)
        return
    obj = apps.get_model(kind)._base_manager.using(settings.DATABASE).filter(pk=key).first()
    if obj is None:
        return
    if lookup is not False:
        obj = _visible(api_view, obj, lookup)
    api_view.check_object_permissions(cast("Request", request), obj)


def _visible(api_view: APIView, obj: Model, lookup: Lookup) -> Any:
    """Return the object as the view finds it now. Raises ``Http404`` if the view no longer finds it for this caller."""
    queryset = _queryset(api_view)
    # isinstance with the concrete model is also true for a proxy model, and for a parent model.
    if queryset is None or not isinstance(obj, queryset.model._meta.concrete_model):
        return _look_up(api_view, lookup)
    key = obj._get_pk_val(queryset.model._meta)
    visible = api_view.filter_queryset(queryset).filter(pk=key).first()  # type: ignore[attr-defined]
    if visible is None:
        raise Http404
    return visible


def _queryset(api_view: APIView) -> QuerySet[Any] | None:
    """Return the queryset of a view of REST framework that has one."""
    get_queryset = getattr(type(api_view), "get_queryset", None)
    if get_queryset is None:
        return None
    if get_queryset is GenericAPIView.get_queryset and api_view.queryset is None:  # type: ignore[attr-defined]
        return None
    return api_view.get_queryset()  # type: ignore[attr-defined,no-any-return]


def _look_up(api_view: APIView, lookup: Lookup) -> Any:
    """Call ``get_object()`` as the handler did. Raises ``IdempotencyNotSupported`` if its arguments are unknown."""
    if isinstance(lookup, bool):
        raise IdempotencyNotSupported
    args = [api_view.kwargs[part] for name, part in lookup if not name]
    kwargs = {name: api_view.kwargs[part] for name, part in lookup if name}
    return api_view.get_object(*args, **kwargs)  # type: ignore[attr-defined]

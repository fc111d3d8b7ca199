"""The views of the project's URLconf."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.urls import URLPattern, get_resolver
from rest_framework.views import APIView

from securecore.conf import django_settings
from securecore.http.idempotency.claim_place import class_of

#: The attributes that ``@requires`` and ``@idempotent`` set on a function. ``@fresh`` needs no user.
_MARKS = ("securecore_requires", "securecore_idempotent")


def callbacks() -> Iterator[Any]:
    """Yield the callback of each URL pattern: a function, or the result of ``as_view()``."""
    if getattr(django_settings, "ROOT_URLCONF", None):
        yield from _callbacks(get_resolver().url_patterns)


def view_classes() -> Iterator[type[Any]]:
    """Yield the class of each class-based view, also of a function under ``@api_view``."""
    for callback in callbacks():
        view = getattr(callback, "cls", None) or getattr(callback, "view_class", None)
        if isinstance(view, type):
            yield view


def authenticated_views() -> Iterator[tuple[type[Any], tuple[type[Any], ...]]]:
    """Yield the class of each view with its authentication classes, also those that ``as_view()`` was given."""
    for callback in callbacks():
        view = getattr(callback, "cls", None) or getattr(callback, "view_class", None)
        if isinstance(view, type):
            given = getattr(callback, "initkwargs", None) or getattr(callback, "view_initkwargs", {})
            classes = given.get("authentication_classes", getattr(view, "authentication_classes", ()))
            yield view, tuple(item for item in classes if isinstance(item, type))


def guarded_plain_view(callback: Any) -> str:
    """Return the name of a view of Django, and not of REST framework, under ``@requires`` or ``@idempotent``, or ""."""
    cls = class_of(callback)
    if cls is not None and issubclass(cls, APIView):
        return ""
    handlers = [] if cls is None else [getattr(cls, name, None) for name in ("dispatch", *cls.http_method_names)]
    if not any(hasattr(function, mark) for function in (callback, *handlers) for mark in _MARKS):
        return ""
    return name_of(callback)


def name_of(callback: Any) -> str:
    """Return the dotted name of a view: of its class, or of its function."""
    view = class_of(callback) or callback
    return f"{view.__module__}.{getattr(view, '__qualname__', type(view).__name__)}"


def _callbacks(patterns: Any) -> Iterator[Any]:
    for pattern in patterns:
        if isinstance(pattern, URLPattern):
            yield pattern.callback
        else:
            yield from _callbacks(pattern.url_patterns)

"""The views of the project's URLconf."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.urls import URLPattern, get_resolver

from securecore.conf import django_settings


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


def _callbacks(patterns: Any) -> Iterator[Any]:
    for pattern in patterns:
        if isinstance(pattern, URLPattern):
            yield pattern.callback
        else:
            yield from _callbacks(pattern.url_patterns)

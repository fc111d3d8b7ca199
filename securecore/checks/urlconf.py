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


def _callbacks(patterns: Any) -> Iterator[Any]:
    for pattern in patterns:
        if isinstance(pattern, URLPattern):
            yield pattern.callback
        else:
            yield from _callbacks(pattern.url_patterns)

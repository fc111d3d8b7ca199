"""Run the plain statements in place of the functions of PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

from securecore.database import callable_functions, function_installation


@contextmanager
def without_functions() -> Iterator[None]:
    """Let the block find no function, as where ``migrate`` has not created them."""
    callable_functions.forget_callable(connection)
    try:
        yield
    finally:
        function_installation.missing([], connection)

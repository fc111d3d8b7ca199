"""Run the plain statements in place of the functions of PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

from securecore.database import functions


@contextmanager
def without_functions() -> Iterator[None]:
    """Let the block find no function, as where ``migrate`` has not created them."""
    functions.forget_callable(connection)
    try:
        yield
    finally:
        functions.missing([], connection)

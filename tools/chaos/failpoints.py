"""Where a request may die: a worker that serves one with ``X-Crash-At`` kills itself at that point, with SIGKILL.

The points are found from outside, in the statements and commits of the connection; the product knows nothing of them.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection

_KINDS = {
    "claim": 'INSERT INTO "securecore_idempotency_record"',
    "effect": "INSERT INTO chaos_effect",
    "store": 'UPDATE "securecore_idempotency_record" SET "status"',
}


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class FailpointMiddleware:
    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> Any:
        point = request.headers.get("X-Crash-At")
        if point is None:
            return self.get_response(request)
        with _dying_at(point):
            return self.get_response(request)


@contextmanager
def _dying_at(point: str) -> Iterator[None]:
    """Die ``before-`` or ``after-`` a ``claim``, ``effect`` or ``store``, or the first ``commit`` after a claim."""
    seen: set[str] = set()
    commit: Callable[[], None] = connection._commit  # type: ignore[attr-defined]

    def statement(execute: Any, sql: str, *rest: Any) -> Any:
        kind = next((kind for kind, start in _KINDS.items() if sql.startswith(start)), "other")
        if point == f"before-{kind}":
            die()
        result = execute(sql, *rest)
        seen.add(kind)
        if point == f"after-{kind}":
            die()
        return result

    def committing() -> None:
        if point == "before-commit" and "claim" in seen:
            die()
        commit()
        if point == "after-commit" and "claim" in seen:
            die()

    connection._commit = committing  # type: ignore[attr-defined]
    try:
        with connection.execute_wrapper(statement):
            yield
    finally:
        del connection._commit  # type: ignore[attr-defined]

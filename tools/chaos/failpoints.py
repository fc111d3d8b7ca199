"""Kill a worker at a chosen point of a request: for a request with ``X-Crash-At`` the worker sends itself SIGKILL.

The points lie around statements and commits of the connection. securecore contains no code for them.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection

#: The beginnings of the statements. PostgreSQL runs the claim as a function.
_KINDS = {
    'INSERT INTO "securecore_idempotency_record"': "claim",
    "SELECT * FROM securecore_claim_idempotencyrecord_": "claim",
    "INSERT INTO chaos_effect": "effect",
    'UPDATE "securecore_idempotency_record" SET "status"': "store",
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
    """Kill the process before or after a statement or commit.

    ``point`` is ``before-`` or ``after-`` and ``claim``, ``effect``, ``store``, or ``commit``, which is the first
    commit after a claim.
    """
    seen: set[str] = set()
    commit: Callable[[], None] = connection._commit  # type: ignore[attr-defined]

    def statement(execute: Any, sql: str, *rest: Any) -> Any:
        kind = next((kind for start, kind in _KINDS.items() if sql.startswith(start)), "other")
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

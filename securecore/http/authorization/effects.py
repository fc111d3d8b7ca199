"""Render the response of a view inside its transaction, and roll the view's effects back for an error response.

Note [Error responses]
    A response with a status of 400 or more rolls the effects of its view back, whether the view raised or returned the
    error. For example a handler that saves a row and then returns ``Response(status=400)`` saves nothing.
    ``@requires``, ``GrantedView``, ``late`` and ``@idempotent`` share this rule.

Note [Late work]
    All work for a response belongs inside the transaction. A streaming response runs its generator after the view has
    returned. A revocation may have returned by then, so securecore refuses streaming responses. A response that Django
    would render later (a template, a REST framework response with a lazy queryset) is rendered before the commit.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from inspect import isawaitable
from typing import Any

from django.db import InternalError, transaction
from django.http.response import HttpResponseBase
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from securecore import database
from securecore.conf import settings
from securecore.errors import Misuse
from securecore.http.request import AnyRequest


def completed(response: Any, user: str, *, request: AnyRequest | None = None, api_view: APIView | None = None) -> Any:
    """Return ``response`` rendered. Raises ``Misuse`` for no response, for a streaming one and for a coroutine.

    Note [Late work] has the reason.

    ``user`` is the decorator or class that calls this function, for the error message: ``"@requires"``. ``api_view`` is
    the REST framework view of ``request``, or None.
    """
    if isawaitable(response):
        getattr(response, "close", lambda: None)()
        raise Misuse(f"{user} needs a transaction, which Django has for synchronous views only: write def.")
    if not isinstance(response, HttpResponseBase):
        match = getattr(request, "resolver_match", None)
        view = getattr(match, "_func_path", f"under {user}")
        raise Misuse(f"The view {view} returned {response!r} to {user}: return an HttpResponse on each path of it.")
    if getattr(response, "streaming", False):
        response.close()
        raise Misuse(
            f"A streaming response runs after the transaction of {user} has ended, and a revocation may have returned "
            f"by then. Return the whole content, or a reference to a resource that is served elsewhere."
        )
    if api_view is not None and isinstance(request, Request) and isinstance(response, Response):
        has_renderer = hasattr(response, "accepted_renderer")
        response = response if has_renderer else api_view.finalize_response(request, response)
    if hasattr(response, "render"):
        response.render()
    return response


#: PostgreSQL: in_failed_sql_transaction.
_FAILED_TRANSACTION = "25P02"


@contextmanager
def naming_transaction_mistakes(user: str) -> Iterator[None]:
    """Turn two errors of a view, which runs in the transaction of ``user``, into ``Misuse`` with the remedy.

    Without the transaction of ``user`` the same code works. Each retry of the request would be a 500 again.
    """
    try:
        yield
    except (transaction.TransactionManagementError, InternalError) as error:
        if isinstance(error, InternalError) and getattr(error.__cause__, "sqlstate", None) != _FAILED_TRANSACTION:
            raise
        raise Misuse(
            f"The view goes on after a database error, in the transaction of {user}. Write with transaction.atomic(): "
            f"around the statement that may fail, inside the try."
        ) from error
    except RuntimeError as error:
        if not str(error).startswith("A durable atomic block"):
            raise
        raise Misuse(
            f"An atomic(durable=True) block cannot commit inside the transaction of {user}. Write atomic(): the block "
            f"is durable when {user} has committed. For two commits use @idempotent(lease=30)."
        ) from error


def is_error(response: HttpResponseBase) -> bool:
    """Return whether ``response`` rolls the effects of its view back (Note [Error responses])."""
    return int(response.status_code) >= 400


def is_replay(response: HttpResponseBase) -> bool:
    """Say whether ``response`` is a replay, by an attribute that securecore sets.

    The header ``Idempotency-Replayed`` is no proof: a view that relays the response of another service may copy it.
    """
    return bool(getattr(response, "securecore_is_replay", False))


def roll_back_error(response: HttpResponseBase) -> bool:
    """Roll the transaction back if ``response`` is an error; say whether it is one.

    An error from ``@idempotent`` leaves the transaction as it is: ``@idempotent`` has already rolled back its effects,
    and a final error that it stored must commit.

    Raises ``Misuse`` for a success after a failed statement: PostgreSQL rolls every effect of the view back.
    """
    if not is_error(response):
        if database.has_failed(database.connection()):
            raise Misuse(
                f"The view responded with {response.status_code}, but a statement of its transaction failed, and some "
                f"code caught the error: PostgreSQL rolls every effect back. Write with transaction.atomic(): around "
                f"the statement that may fail, inside the try, or respond with an error."
            )
        return False
    if not getattr(response, "securecore_effects_are_settled", False):
        transaction.set_rollback(True, using=settings.DATABASE)
    return True

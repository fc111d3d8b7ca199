"""``@idempotent``: the claim of the key, the effect and the stored response in one transaction."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.db import transaction
from django.http import HttpResponse

from securecore import clock, db, digests, idempotency
from securecore.conf import settings
from securecore.errors import Misuse, Refused
from securecore.http.callers import principal, request_of
from securecore.http.problems import problem_response
from securecore.idempotency import StoredResponse

#: Headers of one exchange, not of the result. Cookies are kept elsewhere by Django and are never stored.
_NOT_STORED = {"set-cookie", "date", "authorization", "www-authenticate", "dpop-nonce", "connection", "retry-after"}


def idempotent(view: Callable[..., Any]) -> Callable[..., Any]:
    """Demand ``Idempotency-Key`` and let it have one effect, whatever crashes; every repeat gets the same answer.

    Missing or malformed 400, another request under the same key 422, a twin that runs for too long 409 with
    Retry-After. A replay says ``Idempotency-Replayed: true``; authentication, permission and throttles come before
    it, so it passes them again. A response that is not final (401, 403, 408, 409, 425, 429, 5xx) takes its effects
    back and leaves the key free.

    The transaction is opened here or by ``@requires`` around it. Effects outside the database are not undone by a
    rollback: make them in ``transaction.on_commit``.
    """
    if hasattr(view, "securecore_requires"):
        raise Misuse("Put @requires outside @idempotent, so that a replay passes the permission again.")

    @wraps(view)
    def once(*args: Any, **kwargs: Any) -> Any:
        api_view, request = request_of(args)
        record, fingerprint = _names(request)
        with db.outermost_transaction("@idempotent"):
            stored = idempotency.claim(record=record, fingerprint=fingerprint, now=clock.now())
            if stored is not None:
                return _replayed(stored)
            response = _run(view, api_view, request, args, kwargs)
            if idempotency.is_final(response.status_code):
                idempotency.store(record=record, response=_storable(response))
            else:
                transaction.set_rollback(True, using=settings.DATABASE)
            return response

    once.securecore_idempotent = True  # type: ignore[attr-defined]
    return once


def _names(request: Any) -> tuple[Any, bytes]:
    key = idempotency.parse_key(request.headers.get("Idempotency-Key"))
    match = request.resolver_match
    route = match.route if match else request.path
    record = digests.record_id("idempotency", principal(request), request.method, route, key)
    query = [(name, value) for name, values in request.GET.lists() for value in values]
    content_type = request.META.get("CONTENT_TYPE", "")
    return record, idempotency.fingerprint_of(
        method=request.method, path=request.path, query=query, content_type=content_type, body=request.body
    )


def _run(view: Callable[..., Any], api_view: Any, request: Any, args: Any, kwargs: Any) -> HttpResponse:
    """Run the view in a savepoint. An exception that has an answer becomes that answer, and its effects are undone."""
    try:
        with transaction.atomic(using=settings.DATABASE):
            response = view(*args, **kwargs)
    except Exception as error:
        response = _answer_to(error, api_view, request)
    if getattr(response, "streaming", False):
        raise Misuse(
            "A streaming response cannot be stored under an Idempotency-Key. Answer with a reference to the result."
        )
    if api_view is not None and not getattr(response, "is_rendered", True):
        response = api_view.finalize_response(request, response)
    if hasattr(response, "render"):
        response.render()
    return response  # type: ignore[no-any-return]


def _answer_to(error: Exception, api_view: Any, request: Any) -> Any:
    if hasattr(api_view, "handle_exception"):
        response = api_view.handle_exception(error)
        # REST framework marks the whole transaction for rollback under ATOMIC_REQUESTS. The savepoint has undone the
        # effects already, and the claim beside them must stay for a final answer.
        transaction.set_rollback(False, using=settings.DATABASE)
        return response
    if isinstance(error, Refused):
        return problem_response(request, error)
    raise error


def _storable(response: HttpResponse) -> StoredResponse:
    headers = {name: value for name, value in response.items() if name.lower() not in _NOT_STORED}
    return StoredResponse(status=response.status_code, body=response.content, headers=headers)


def _replayed(stored: StoredResponse) -> HttpResponse:
    response = HttpResponse(stored.body, status=stored.status, headers=stored.headers)
    response["Idempotency-Replayed"] = "true"
    return response

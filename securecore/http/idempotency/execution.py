"""A handler under a key: the claim, the effect and the stored response in one transaction, or with a lease between."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import transaction
from django.http import HttpResponse

from securecore import clock, db, idempotency
from securecore.conf import settings
from securecore.errors import IdempotencyInProgress, Misuse, Refused
from securecore.http.idempotency.policy import Policy
from securecore.http.problems import problem_response
from securecore.idempotency import Claim, StoredResponse

#: Headers of one exchange, not of the result. Cookies are kept elsewhere by Django and are never stored.
_NOT_STORED = {"set-cookie", "date", "authorization", "www-authenticate", "dpop-nonce", "connection", "retry-after"}
_NOT_STORED |= {"authentication-info", "content-length", "keep-alive", "server", "transfer-encoding"}


@dataclass(frozen=True)
class Exchange:
    """One request to a handler under a key. ``api_view`` is REST framework's view, if it is one."""

    policy: Policy
    request: Any
    api_view: Any
    call: Callable[[], Any]
    record: UUID
    fingerprint: bytes

    def run(self) -> HttpResponse:
        """Call the handler; return its response, rendered. Raises ``Misuse`` for a stream."""
        response = self.call()
        if getattr(response, "streaming", False):
            raise Misuse(
                "A streaming response cannot be stored under an Idempotency-Key. Answer with a reference to the result."
            )
        return self._rendered(response)

    def answer_to(self, error: Exception) -> HttpResponse:
        """Return the answer that the view's exception stands for, or raise it again."""
        if self.api_view is not None:
            response = self.api_view.handle_exception(error)
            # REST framework marks the whole transaction for rollback under ATOMIC_REQUESTS. The effects are undone
            # already, and the claim beside them must stay for a final answer.
            if db.connection().in_atomic_block:
                transaction.set_rollback(False, using=settings.DATABASE)
            return self._rendered(response)
        if isinstance(error, Refused):
            return problem_response(self.request, error)
        raise error

    def claimed(self, claim: Claim) -> None:
        """Tell the view under which claim it runs: ``request.idempotency``."""
        getattr(self.request, "_request", self.request).idempotency = claim

    def _rendered(self, response: Any) -> HttpResponse:
        if self.api_view is not None and not getattr(response, "is_rendered", True):
            response = self.api_view.finalize_response(self.request, response)
        if hasattr(response, "render"):
            response.render()
        return response  # type: ignore[no-any-return]


def once(policy: Policy, request: Any, api_view: Any, call: Callable[[], Any]) -> Any:
    """Call the handler so that the request's key has one effect, or replay what it had."""
    if not policy.applies_to(request):
        return call()
    record, fingerprint = policy.names_of(request)
    exchange = Exchange(policy, request, api_view, call, record, fingerprint)
    if policy.lease is not None:
        return _with_lease(exchange, policy.lease)
    with db.outermost_transaction("@idempotent") as is_ours:
        response = _claim_and_run(exchange) if is_ours else _claim_and_run_joined(exchange)
    if isinstance(response, Exception):
        response = _answer_after_rollback(exchange, response)
    return response


def _claim_and_run(exchange: Exchange) -> HttpResponse | Exception:
    """In a transaction of our own an exception takes back everything, the claim too: no savepoint on the way."""
    claim = _claim(exchange)
    if isinstance(claim, StoredResponse):
        return _replayed(claim)
    try:
        response = exchange.run()
    except Misuse:
        raise
    except Exception as error:
        transaction.set_rollback(True, using=settings.DATABASE)
        return error
    return _kept(exchange, claim, response)


def _answer_after_rollback(exchange: Exchange, error: Exception) -> HttpResponse:
    """The effects are undone. If the answer to ``error`` is final the key stands for it, unless a twin was faster."""
    response = exchange.answer_to(error)
    if not exchange.policy.stores(response.status_code):
        return response
    with transaction.atomic(using=settings.DATABASE):
        claim = _claim(exchange)
        return _replayed(claim) if isinstance(claim, StoredResponse) else _kept(exchange, claim, response)


def _claim_and_run_joined(exchange: Exchange) -> HttpResponse:
    """In somebody's transaction, who may hold a gate in it, a savepoint keeps the claim when the effects go."""
    claim = _claim(exchange)
    if isinstance(claim, StoredResponse):
        return _replayed(claim)
    try:
        with transaction.atomic(using=settings.DATABASE):
            response = exchange.run()
    except Misuse:
        raise
    except Exception as error:
        response = exchange.answer_to(error)
    return _kept(exchange, claim, response)


def _claim(exchange: Exchange) -> Claim | StoredResponse:
    policy = exchange.policy
    claim = idempotency.claim(
        record=exchange.record,
        fingerprint=exchange.fingerprint,
        now=clock.now(),
        retention=policy.retention,
        wait=policy.wait,
    )
    if isinstance(claim, Claim):
        exchange.claimed(claim)
    return claim


def _kept(exchange: Exchange, claim: Claim, response: HttpResponse) -> HttpResponse:
    if exchange.policy.stores(response.status_code):
        idempotency.store(claim, _storable(response), max_body=exchange.policy.max_body)
    else:
        transaction.set_rollback(True, using=settings.DATABASE)
    return response


def _with_lease(exchange: Exchange, lease: float) -> HttpResponse:
    policy = exchange.policy
    claim = idempotency.claim_lease(
        record=exchange.record,
        fingerprint=exchange.fingerprint,
        now=clock.now(),
        lease=lease,
        retention=policy.retention,
    )
    if isinstance(claim, StoredResponse):
        return _replayed(claim)
    exchange.claimed(claim)
    try:
        try:
            response = exchange.run()
        except Exception as error:
            response = exchange.answer_to(error)
        if policy.stores(response.status_code):
            return _kept_under_lease(exchange, claim, response)
    except Exception:
        idempotency.release(claim, now=clock.now())
        raise
    idempotency.release(claim, now=clock.now())
    return response


def _kept_under_lease(exchange: Exchange, claim: Claim, response: HttpResponse) -> HttpResponse:
    if idempotency.store_leased(claim, _storable(response), max_body=exchange.policy.max_body):
        return response
    # Another process took the claim over. Every twin gets its answer, this one too.
    stored = idempotency.standing(record=exchange.record, fingerprint=exchange.fingerprint)
    if stored is None:
        raise IdempotencyInProgress
    return _replayed(stored)


def _storable(response: HttpResponse) -> StoredResponse:
    headers = {name: value for name, value in response.items() if name.lower() not in _NOT_STORED}
    return StoredResponse(status=response.status_code, body=response.content, headers=headers)


def _replayed(stored: StoredResponse) -> HttpResponse:
    response = HttpResponse(stored.body, status=stored.status, headers=stored.headers)
    response["Idempotency-Replayed"] = "true"
    return response

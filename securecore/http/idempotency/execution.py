"""Run a handler under an idempotency key.

Without a lease, the claim, the effect and the stored response are one transaction. With a lease, the claim commits
before the handler runs, and the stored response commits after it. ``securecore.idempotency`` holds the statements.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import transaction
from django.http import HttpResponse

from securecore import clock, database, idempotency
from securecore.conf import settings
from securecore.errors import IdempotencyInProgress, Misuse, Refused
from securecore.http.authorization.effects import completed, is_error
from securecore.http.edge.request_body import receive_body
from securecore.http.idempotency.asked import HEADER, RecordedChecks, recording_checks, repeat_checks
from securecore.http.idempotency.policy import Policy
from securecore.http.problems import problem_response
from securecore.http.request import django_request
from securecore.idempotency import Claim, StoredResponse

#: Headers that describe one HTTP exchange and not the result. Django keeps cookies outside the headers, so cookies are
#: never stored.
_NOT_STORED = {"set-cookie", "date", "authorization", "www-authenticate", "dpop-nonce", "connection", "retry-after"}
#: Ours: a view that relays the answer of another service may have copied them from there.
_NOT_STORED |= {HEADER.lower(), "idempotency-replayed"}
_NOT_STORED |= {"authentication-info", "content-length", "keep-alive", "server", "transfer-encoding"}


@dataclass(frozen=True)
class Exchange:
    """One request to a handler under a key. ``api_view`` is the handler's REST framework view, or None."""

    policy: Policy
    request: Any
    api_view: Any
    call: Callable[[], Any]
    record: UUID
    fingerprint: bytes
    recorded: RecordedChecks

    def run(self) -> HttpResponse:
        """Call the handler and return its rendered response. Raises ``Misuse`` for a streaming response."""
        return self._completed(self.call())

    def answer_to(self, error: Exception) -> HttpResponse:
        """Return the response for an exception of the view, or raise the exception again."""
        if self.api_view is not None:
            response = self.api_view.handle_exception(error)
            # Under ATOMIC_REQUESTS REST framework marks the whole transaction for rollback. The savepoint has undone
            # the effects already, and the claim in the same transaction must stay for a final response.
            if database.connection().in_atomic_block:
                transaction.set_rollback(False, using=settings.DATABASE)
            return self._completed(response)
        if isinstance(error, Refused):
            return problem_response(self.request, error)
        raise error

    def claimed(self, claim: Claim) -> None:
        """Give the view its claim as ``request.idempotency``."""
        django_request(self.request).idempotency = claim

    def replayed(self, stored: StoredResponse) -> HttpResponse:
        """Return the stored response if the caller still has the permissions for it. Raises the refusal otherwise."""
        repeat_checks(stored.headers, self.request, self.api_view)
        headers = {name: value for name, value in stored.headers.items() if name != HEADER}
        response = HttpResponse(stored.body, status=stored.status, headers=headers)
        response["Idempotency-Replayed"] = "true"
        response.securecore_is_replay = True  # type: ignore[attr-defined]
        return response

    def storable(self, response: HttpResponse) -> StoredResponse:
        """Return the part of ``response`` that is stored, with the permission checks that the handler made."""
        headers = {name: value for name, value in response.items() if name.lower() not in _NOT_STORED}
        headers |= self.recorded.headers()
        return StoredResponse(status=response.status_code, body=response.content, headers=headers)

    def _completed(self, response: Any) -> HttpResponse:
        return completed(  # type: ignore[no-any-return]
            response, "@idempotent", request=self.request, api_view=self.api_view
        )


def once(policy: Policy, request: Any, api_view: Any, call: Callable[[], Any]) -> Any:
    """Call the handler under the request's key, or replay the stored response of the key."""
    if not policy.applies_to(request):
        return call()
    receive_body(request)
    record, fingerprint = policy.names_of(request)
    with recording_checks(request, api_view) as recorded:
        exchange = Exchange(policy, request, api_view, call, record, fingerprint, recorded)
        response = _with_lease(exchange, policy.lease) if policy.lease is not None else _in_transaction(exchange)
    # For @requires and GrantedView around this call: the effects of an error are rolled back already, and the error
    # itself may be stored. Another rollback would lose the stored error.
    response.securecore_effects_are_settled = True  # type: ignore[attr-defined]
    return response


def _in_transaction(exchange: Exchange) -> HttpResponse:
    with database.outermost_transaction("@idempotent") as is_ours:
        outcome = _claim_and_run(exchange) if is_ours else _claim_and_run_joined(exchange)
    return outcome if isinstance(outcome, HttpResponse) else _answer_after_rollback(exchange, outcome)


@dataclass(frozen=True)
class _RolledBack:
    """A run of a handler after its effects were rolled back: the exception of the view, or its error response."""

    error: Exception | None = None
    response: HttpResponse | None = None


def _claim_and_run(exchange: Exchange) -> HttpResponse | _RolledBack:
    """Run the handler in a transaction that ``@idempotent`` has opened.

    An error rolls back the effects and the claim together, so no savepoint is needed.
    """
    claim = _claim(exchange)
    if isinstance(claim, StoredResponse):
        return exchange.replayed(claim)
    try:
        response = exchange.run()
    except Misuse:
        raise
    except Exception as error:
        transaction.set_rollback(True, using=settings.DATABASE)
        return _RolledBack(error)
    if is_error(response):
        transaction.set_rollback(True, using=settings.DATABASE)
        return _RolledBack(response=response)
    _require_effects(response)
    return _store_or_roll_back(exchange, claim, response)


def _answer_after_rollback(exchange: Exchange, rolled_back: _RolledBack) -> HttpResponse:
    """Store a final error response under the key after the effects were rolled back, and return it.

    If a twin has claimed the key in the meantime, return the twin's stored response.
    """
    response = rolled_back.response
    if rolled_back.error is not None:
        response = exchange.answer_to(rolled_back.error)
    assert response is not None  # noqa: S101
    if not exchange.policy.stores(response.status_code):
        return response
    with transaction.atomic(using=settings.DATABASE):
        claim = _claim(exchange)
        if isinstance(claim, StoredResponse):
            return exchange.replayed(claim)
        return _store_or_roll_back(exchange, claim, response)


def _claim_and_run_joined(exchange: Exchange) -> HttpResponse:
    """Run the handler in a transaction that was open before, perhaps with a gate.

    The handler runs in a savepoint: an error rolls the effects back and keeps the claim.
    """
    claim = _claim(exchange)
    if isinstance(claim, StoredResponse):
        return exchange.replayed(claim)
    try:
        with transaction.atomic(using=settings.DATABASE):
            response = exchange.run()
            if is_error(response):
                transaction.set_rollback(True, using=settings.DATABASE)
            else:
                _require_effects(response)
    except Misuse:
        raise
    except Exception as error:
        response = exchange.answer_to(error)
    return _store_or_roll_back(exchange, claim, response)


def _require_effects(response: HttpResponse) -> None:
    """Raise ``Misuse`` for a success whose effects are marked for rollback.

    Otherwise each repeat of the key would get a success response without the effect.
    """
    if transaction.get_rollback(using=settings.DATABASE):
        raise Misuse(
            f"The view answered {response.status_code}, but its effects will be rolled back: an exception left an "
            f"atomic(savepoint=False) block and was caught, or set_rollback() was called. Let the exception out, use "
            f"atomic() with its savepoint, or answer with an error."
        )


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


def _store_or_roll_back(exchange: Exchange, claim: Claim, response: HttpResponse) -> HttpResponse:
    if exchange.policy.stores(response.status_code):
        idempotency.store(claim, exchange.storable(response), max_body=exchange.policy.max_body)
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
        return exchange.replayed(claim)
    exchange.claimed(claim)
    try:
        try:
            response = exchange.run()
        except Exception as error:
            response = exchange.answer_to(error)
        if policy.stores(response.status_code):
            return _store_under_lease(exchange, claim, response)
    except Exception:
        idempotency.release(claim, now=clock.now())
        raise
    idempotency.release(claim, now=clock.now())
    return response


def _store_under_lease(exchange: Exchange, claim: Claim, response: HttpResponse) -> HttpResponse:
    if idempotency.store_leased(claim, exchange.storable(response), max_body=exchange.policy.max_body):
        return response
    # The lease expired and another process took the claim over. Each twin gets that process's response, also this one.
    stored = idempotency.standing(record=exchange.record, fingerprint=exchange.fingerprint)
    if stored is None:
        raise IdempotencyInProgress
    return exchange.replayed(stored)

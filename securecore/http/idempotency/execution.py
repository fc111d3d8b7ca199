"""A handler under a key: the claim, the effect and the stored response in one transaction, or with a lease between."""

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
from securecore.http.idempotency.asked import HEADER, Asked, ask_again, noted
from securecore.http.idempotency.policy import Policy
from securecore.http.problems import problem_response
from securecore.idempotency import Claim, StoredResponse

#: Headers of one exchange, not of the result. Cookies are kept elsewhere by Django and are never stored.
_NOT_STORED = {"set-cookie", "date", "authorization", "www-authenticate", "dpop-nonce", "connection", "retry-after"}
#: Ours: a view that relays the answer of another service may have copied them from there.
_NOT_STORED |= {HEADER.lower(), "idempotency-replayed"}
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
    asked: Asked

    def run(self) -> HttpResponse:
        """Call the handler; return its response, rendered. Raises ``Misuse`` for a stream."""
        return self._completed(self.call())

    def answer_to(self, error: Exception) -> HttpResponse:
        """Return the answer that the view's exception stands for, or raise it again."""
        if self.api_view is not None:
            response = self.api_view.handle_exception(error)
            # REST framework marks the whole transaction for rollback under ATOMIC_REQUESTS. The effects are undone
            # already, and the claim beside them must stay for a final answer.
            if database.connection().in_atomic_block:
                transaction.set_rollback(False, using=settings.DATABASE)
            return self._completed(response)
        if isinstance(error, Refused):
            return problem_response(self.request, error)
        raise error

    def claimed(self, claim: Claim) -> None:
        """Tell the view under which claim it runs: ``request.idempotency``."""
        getattr(self.request, "_request", self.request).idempotency = claim

    def replayed(self, stored: StoredResponse) -> HttpResponse:
        """Return a stored answer to a caller that may still have it. Raises the refusal otherwise."""
        ask_again(stored.headers, self.request, self.api_view)
        headers = {name: value for name, value in stored.headers.items() if name != HEADER}
        response = HttpResponse(stored.body, status=stored.status, headers=headers)
        response["Idempotency-Replayed"] = "true"
        response.securecore_is_replay = True  # type: ignore[attr-defined]
        return response

    def storable(self, response: HttpResponse) -> StoredResponse:
        """Return what is stored of ``response``, beside what the handler asked about its caller."""
        headers = {name: value for name, value in response.items() if name.lower() not in _NOT_STORED}
        headers |= self.asked.headers()
        return StoredResponse(status=response.status_code, body=response.content, headers=headers)

    def _completed(self, response: Any) -> HttpResponse:
        return completed(  # type: ignore[no-any-return]
            response, "@idempotent", request=self.request, api_view=self.api_view
        )


def once(policy: Policy, request: Any, api_view: Any, call: Callable[[], Any]) -> Any:
    """Call the handler so that the request's key has one effect, or replay what it had."""
    if not policy.applies_to(request):
        return call()
    receive_body(request)
    record, fingerprint = policy.names_of(request)
    with noted(request, api_view) as asked:
        exchange = Exchange(policy, request, api_view, call, record, fingerprint, asked)
        response = _with_lease(exchange, policy.lease) if policy.lease is not None else _in_transaction(exchange)
    # For @requires and GrantedView around this: an error has taken back its effects, and may be stored itself.
    response.securecore_effects_are_settled = True  # type: ignore[attr-defined]
    return response


def _in_transaction(exchange: Exchange) -> HttpResponse:
    with database.outermost_transaction("@idempotent") as is_ours:
        outcome = _claim_and_run(exchange) if is_ours else _claim_and_run_joined(exchange)
    return outcome if isinstance(outcome, HttpResponse) else _answer_after_rollback(exchange, outcome)


@dataclass(frozen=True)
class _TakenBack:
    """An error and the response to it, which the view has returned or will be asked for."""

    error: Exception | None = None
    response: HttpResponse | None = None


def _claim_and_run(exchange: Exchange) -> HttpResponse | _TakenBack:
    """Run the handler in a transaction of our own: an error takes back everything, the claim too, and no savepoint is
    needed.
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
        return _TakenBack(error)
    if is_error(response):
        transaction.set_rollback(True, using=settings.DATABASE)
        return _TakenBack(response=response)
    _require_effects(response)
    return _kept(exchange, claim, response)


def _answer_after_rollback(exchange: Exchange, taken_back: _TakenBack) -> HttpResponse:
    """The effects are undone. If the answer is final the key stands for it, unless a twin was faster."""
    response = taken_back.response
    if taken_back.error is not None:
        response = exchange.answer_to(taken_back.error)
    assert response is not None  # noqa: S101
    if not exchange.policy.stores(response.status_code):
        return response
    with transaction.atomic(using=settings.DATABASE):
        claim = _claim(exchange)
        return exchange.replayed(claim) if isinstance(claim, StoredResponse) else _kept(exchange, claim, response)


def _claim_and_run_joined(exchange: Exchange) -> HttpResponse:
    """Run the handler in a transaction that is open, perhaps with a gate: a savepoint keeps the claim when the effects
    go.
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
    return _kept(exchange, claim, response)


def _require_effects(response: HttpResponse) -> None:
    """Raise ``Misuse`` for a success whose effects are marked for rollback: the key would stand for effects that no
    request ever has.
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


def _kept(exchange: Exchange, claim: Claim, response: HttpResponse) -> HttpResponse:
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
            return _kept_under_lease(exchange, claim, response)
    except Exception:
        idempotency.release(claim, now=clock.now())
        raise
    idempotency.release(claim, now=clock.now())
    return response


def _kept_under_lease(exchange: Exchange, claim: Claim, response: HttpResponse) -> HttpResponse:
    if idempotency.store_leased(claim, exchange.storable(response), max_body=exchange.policy.max_body):
        return response
    # Another process took the claim over. Every twin gets its answer, this one too.
    stored = idempotency.standing(record=exchange.record, fingerprint=exchange.fingerprint)
    if stored is None:
        raise IdempotencyInProgress
    return exchange.replayed(stored)

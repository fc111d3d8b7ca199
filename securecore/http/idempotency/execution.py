"""Run a handler under an idempotency key.

Without a lease, the claim, the effect and the stored response are one transaction. With a lease, the claim commits
before the handler runs, and the stored response commits after it. ``securecore.idempotency`` holds the statements.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from django.db import transaction
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from rest_framework.views import APIView

from securecore import clock, database, idempotency
from securecore.conf import settings
from securecore.errors import IdempotencyInProgress, Misuse
from securecore.http.authorization.effects import is_error, naming_transaction_mistakes
from securecore.http.edge.request_body import receive_body
from securecore.http.idempotency.keyed_request import KeyedRequest
from securecore.http.idempotency.policy import Policy
from securecore.http.idempotency.recorded_checks import recording_checks
from securecore.http.request import AnyRequest, django_request
from securecore.idempotency import Claim, StoredResponse


def run_under_key(
    policy: Policy, request: AnyRequest, api_view: APIView | None, call: Callable[[], HttpResponseBase]
) -> HttpResponseBase:
    """Call the handler under the request's key, or replay the stored response of the key."""
    if not policy.applies_to(request):
        return call()
    of_django = django_request(request)
    receive_body(of_django)
    record, fingerprint = policy.names_of(request)
    with recording_checks(of_django, api_view) as recorded:
        keyed = KeyedRequest(policy, request, api_view, call, record, fingerprint, recorded)
        response = _with_lease(keyed, policy.lease) if policy.lease is not None else _in_transaction(keyed)
    # @requires and GrantedView around this call must not roll an error response back. Its effects are rolled back
    # already, and another rollback would lose the error if it was stored.
    response.securecore_effects_are_settled = True  # type: ignore[attr-defined]
    return response


def _in_transaction(keyed: KeyedRequest) -> HttpResponse:
    with database.outermost_transaction("@idempotent") as is_ours:
        outcome = _claim_and_run(keyed) if is_ours else _claim_and_run_joined(keyed)
    return outcome if isinstance(outcome, HttpResponse) else _respond_after_rollback(keyed, outcome)


@dataclass(frozen=True)
class _RolledBack:
    """The exception or the error response of a handler, after its effects were rolled back."""

    error: Exception | None = None
    response: HttpResponse | None = None


def _claim_and_run(keyed: KeyedRequest) -> HttpResponse | _RolledBack:
    """Run the handler in a transaction that ``@idempotent`` has opened.

    An error rolls back the effects and the claim together, so no savepoint is needed.
    """
    claim = _claim(keyed)
    if isinstance(claim, StoredResponse):
        return keyed.replay_of(claim)
    try:
        response = keyed.run()
    except Misuse:
        raise
    except Exception as error:
        transaction.set_rollback(True, using=settings.DATABASE)
        return _RolledBack(error)
    if is_error(response):
        transaction.set_rollback(True, using=settings.DATABASE)
        return _RolledBack(response=response)
    _require_effects(response)
    return _store_or_roll_back(keyed, claim, response)


def _respond_after_rollback(keyed: KeyedRequest, rolled_back: _RolledBack) -> HttpResponse:
    """Store a final error response under the key after the effects were rolled back, and return it.

    If a twin has claimed the key in the meantime, return the twin's stored response.
    """
    response = rolled_back.response
    if rolled_back.error is not None:
        response = keyed.error_response(rolled_back.error)
    assert response is not None  # noqa: S101
    if not keyed.policy.stores(response.status_code):
        return response
    with transaction.atomic(using=settings.DATABASE):
        claim = _claim(keyed)
        if isinstance(claim, StoredResponse):
            return keyed.replay_of(claim)
        return _store_or_roll_back(keyed, claim, response)


def _claim_and_run_joined(keyed: KeyedRequest) -> HttpResponse:
    """Run the handler in the transaction of the code around ``@idempotent``, for example of ``@requires``.

    That transaction may hold a gate. The handler runs in a savepoint: an error rolls the effects back and keeps the
    claim.
    """
    claim = _claim(keyed)
    if isinstance(claim, StoredResponse):
        return keyed.replay_of(claim)
    try:
        with transaction.atomic(using=settings.DATABASE):
            response = keyed.run()
            if is_error(response):
                transaction.set_rollback(True, using=settings.DATABASE)
            else:
                _require_effects(response)
    except Misuse:
        raise
    except Exception as error:
        response = keyed.error_response(error)
    return _store_or_roll_back(keyed, claim, response)


def _require_effects(response: HttpResponse) -> None:
    """Raise ``Misuse`` if the effects of a success are marked for rollback.

    Otherwise each repeat of the key would get a success response without the effect.
    """
    if transaction.get_rollback(using=settings.DATABASE):
        raise Misuse(
            f"The view responded with {response.status_code}, but its effects will be rolled back: an exception left "
            f"an atomic(savepoint=False) block and was caught, or set_rollback() was called. Let the exception out, "
            f"use atomic() with its savepoint, or respond with an error."
        )


def _claim(keyed: KeyedRequest) -> Claim | StoredResponse:
    policy = keyed.policy
    claim = idempotency.claim(
        record=keyed.record,
        fingerprint=keyed.fingerprint,
        now=clock.now(),
        retention=policy.retention,
        wait=policy.wait,
    )
    if isinstance(claim, Claim):
        keyed.expose(claim)
    return claim


def _store_or_roll_back(keyed: KeyedRequest, claim: Claim, response: HttpResponse) -> HttpResponse:
    if keyed.policy.stores(response.status_code):
        with naming_transaction_mistakes("@idempotent"):
            idempotency.store(claim, keyed.storable(response), max_body=keyed.policy.max_body)
    else:
        transaction.set_rollback(True, using=settings.DATABASE)
    return response


def _with_lease(keyed: KeyedRequest, lease: float) -> HttpResponse:
    policy = keyed.policy
    claim = idempotency.claim_lease(
        record=keyed.record,
        fingerprint=keyed.fingerprint,
        now=clock.now(),
        lease=lease,
        retention=policy.retention,
    )
    if isinstance(claim, StoredResponse):
        return keyed.replay_of(claim)
    keyed.expose(claim)
    try:
        try:
            response = keyed.run()
        except Exception as error:
            response = keyed.error_response(error)
        if policy.stores(response.status_code):
            return _store_under_lease(keyed, claim, response)
    except Exception:
        # A claim that stays would refuse each twin (409) until the lease ends.
        idempotency.release(claim, now=clock.now())
        raise
    idempotency.release(claim, now=clock.now())
    return response


def _store_under_lease(keyed: KeyedRequest, claim: Claim, response: HttpResponse) -> HttpResponse:
    if idempotency.store_leased(claim, keyed.storable(response), max_body=keyed.policy.max_body):
        return response
    # The lease expired and another process took the claim over. This request gets the response of that process, as
    # every twin does.
    stored = idempotency.stored_response(record=keyed.record, fingerprint=keyed.fingerprint)
    if stored is None:
        raise IdempotencyInProgress
    return keyed.replay_of(stored)

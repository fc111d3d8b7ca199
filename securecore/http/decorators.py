"""What a view demands: ``@fresh``, ``@requires(permission)``, ``@idempotent``, in this order from the outside.

Each goes on a Django view function or on a REST framework handler method::

    class Transfers(APIView):
        @requires("transfers.create")
        @idempotent
        def post(self, request): ...
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.db import transaction

from securecore import clock, db, grants, replay
from securecore.conf import settings
from securecore.http.callers import nonce_scope, request_of
from securecore.http.idempotent import idempotent
from securecore.http.permissions import late_gate, principals_of, require_recent_authentication

__all__ = ["fresh", "idempotent", "recently_authenticated", "requires"]

View = Callable[..., Any]


def fresh(view: View) -> View:
    """Accept a request once: ``X-Request-Timestamp`` (Unix seconds) near our clock, ``X-Request-Nonce`` never seen.

    Missing or malformed 400, stale 401, repeated 409. The nonce is claimed in its own transaction before the view, so
    no rollback brings it back; under ATOMIC_REQUESTS the view's own transaction starts after it. Put it outermost,
    and with ATOMIC_REQUESTS on ``dispatch`` rather than on a handler (raises ``Misuse`` otherwise).
    """

    @wraps(view)
    def claimed(*args: Any, **kwargs: Any) -> Any:
        _, request = request_of(args)
        now = clock.now()
        made_at = replay.parse_timestamp(request.headers.get("X-Request-Timestamp"), now=now)
        presented_nonce = request.headers.get("X-Request-Nonce")
        replay.claim_nonce(presented_nonce, scope=nonce_scope(request), made_at=made_at, now=now)
        return atomic_view(*args, **kwargs)

    def atomic_view(*args: Any, **kwargs: Any) -> Any:
        if not db.connection().settings_dict["ATOMIC_REQUESTS"] or settings.DATABASE in exempt:
            return view(*args, **kwargs)
        with transaction.atomic(using=settings.DATABASE):
            return view(*args, **kwargs)

    exempt = frozenset(getattr(view, "_non_atomic_requests", ()))
    return transaction.non_atomic_requests(using=settings.DATABASE)(claimed)


def requires(
    permission: str,
    *,
    obj: Callable[..., Any] | None = None,
    consume: Callable[..., int] | None = None,
    late: bool = False,
) -> Callable[[View], View]:
    """Run the view only if the caller holds ``permission`` at the instant the view's effects commit; 403 otherwise.

    ``obj`` and ``consume`` are called with the request and the view's other arguments, and say what the permission is
    about and how much of a limited amount this takes. Opens the transaction of the view, enters the caller's gate and
    reads the grant in it: see ``grants.authorize``; with ``late`` the gate comes at the end of a long view
    (``grants.late_gate``). Never inside ``@idempotent``, whose replays would not pass it (``Misuse``); a replay uses
    nothing up.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def authorized(*args: Any, **kwargs: Any) -> Any:
            api_view, request = request_of(args)
            asked = [request, *args[1 if api_view is None else 2 :]]

            def amount() -> int | None:
                return None if consume is None else consume(*asked, **kwargs)

            target = None if obj is None else obj(*asked, **kwargs)
            if late:
                return _run_late(request, permission, target, amount, lambda: view(*args, **kwargs))
            with grants.allowed(principals_of(request), permission, target, clock=clock.now) as decision:
                response = view(*args, **kwargs)
                if "Idempotency-Replayed" not in response:
                    decision.spend(amount=amount(), now=clock.now())
                return response

        authorized.securecore_requires = permission  # type: ignore[attr-defined]
        return authorized

    return decorate


def _run_late(
    request: Any, permission: str, obj: Any, amount: Callable[[], int | None], view: Callable[[], Any]
) -> Any:
    with late_gate(request) as late:
        late.require(permission, obj, consume=amount())
        response = view()
        if "Idempotency-Replayed" in response:
            late.spend_nothing()
        return response


def recently_authenticated(*, within: float) -> Callable[[View], View]:
    """Run the view only if the session's user logged in or stepped up within the last ``within`` seconds; 401 if not.

    For what a stolen open session must not do: changing a password, a key, a payee (ASVS 5.0 v5.0.0-7.5.1). The
    database decides, at this moment.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def recent(*args: Any, **kwargs: Any) -> Any:
            _, request = request_of(args)
            require_recent_authentication(request, within=within)
            return view(*args, **kwargs)

        return recent

    return decorate

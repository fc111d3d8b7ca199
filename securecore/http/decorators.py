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

from securecore import clock, db, replay
from securecore.conf import settings
from securecore.grants import authorize
from securecore.http.callers import nonce_scope, principal, request_of
from securecore.http.idempotent import idempotent
from securecore.http.permissions import require_recent_authentication

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


def requires(permission: str) -> Callable[[View], View]:
    """Run the view only if the caller holds ``permission`` at the instant the view's effects commit; 403 otherwise.

    Opens the transaction of the view, takes the caller's gate and reads the grant in it: see ``grants.authorize``.
    Never inside ``@idempotent``, whose replays would not pass it (``Misuse``).
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def authorized(*args: Any, **kwargs: Any) -> Any:
            _, request = request_of(args)
            with authorize(principal=principal(request), permission=permission):
                return view(*args, **kwargs)

        authorized.securecore_requires = permission  # type: ignore[attr-defined]
        return authorized

    return decorate


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

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

from securecore.grants import authorize
from securecore.http.callers import principal, request_of
from securecore.http.freshness import FreshMixin, fresh
from securecore.http.idempotency import idempotency_exempt, idempotent
from securecore.http.idempotency.views import under_key
from securecore.http.permissions import require_recent_authentication

__all__ = ["FreshMixin", "fresh", "idempotency_exempt", "idempotent", "recently_authenticated", "requires"]

View = Callable[..., Any]


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
                return under_key(view, args, kwargs)

        authorized.securecore_takes_key = True  # type: ignore[attr-defined]
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
            return under_key(view, args, kwargs)

        recent.securecore_takes_key = True  # type: ignore[attr-defined]
        return recent

    return decorate

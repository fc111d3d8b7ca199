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

from securecore import clock, grants
from securecore.durations import check_seconds
from securecore.http.amounts import sent_amount
from securecore.http.callers import request_of
from securecore.http.freshness import FreshMixin, fresh
from securecore.http.idempotency import idempotency_exempt, idempotent
from securecore.http.idempotency.views import under_key
from securecore.http.permissions import late_gate, principals_of, require_recent_authentication

__all__ = ["FreshMixin", "fresh", "idempotency_exempt", "idempotent", "recently_authenticated", "requires"]

View = Callable[..., Any]


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
                return None if consume is None else sent_amount(lambda: consume(*asked, **kwargs))

            target = None if obj is None else obj(*asked, **kwargs)
            if late:
                return _run_late(request, permission, target, amount, lambda: under_key(view, args, kwargs))
            with grants.allowed(principals_of(request), permission, target, clock=clock.now) as decision:
                response = under_key(view, args, kwargs)
                if "Idempotency-Replayed" not in response:
                    decision.spend(amount=amount(), now=clock.now())
                return response

        authorized.securecore_takes_key = True  # type: ignore[attr-defined]
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
    check_seconds("@recently_authenticated(within=)", within)

    def decorate(view: View) -> View:
        @wraps(view)
        def recent(*args: Any, **kwargs: Any) -> Any:
            _, request = request_of(args)
            require_recent_authentication(request, within=within)
            return under_key(view, args, kwargs)

        recent.securecore_takes_key = True  # type: ignore[attr-defined]
        return recent

    return decorate

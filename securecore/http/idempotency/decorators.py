"""``@idempotent`` and ``@idempotency_exempt``, for a view function, a handler or a class."""

from __future__ import annotations

import functools
from asyncio import iscoroutinefunction
from collections.abc import Callable
from typing import Any, TypeVar, overload

from django.db import transaction

from securecore.conf import settings
from securecore.errors import Misuse
from securecore.http.idempotency.execution import once
from securecore.http.idempotency.policy import Policy
from securecore.http.idempotency.views import guard_class, guard_handler, rest_view
from securecore.http.request import state_of
from securecore.http.view_arguments import request_of

View = TypeVar("View", bound=Callable[..., Any])


@overload
def idempotent(view: View) -> View: ...
@overload
def idempotent(**policy: Any) -> Callable[[View], View]: ...
def idempotent(view: Any = None, **policy: Any) -> Any:
    """Give each ``Idempotency-Key`` one effect, even after a crash; each repeat gets the same response.

    Use the decorator plain or with the fields of ``Policy``: ``@idempotent(retention=3600, wait=False)``. It goes on a
    view function, on a handler method, or on a class of Django or REST framework, also a viewset. On a class it covers
    all unsafe methods. Safe methods run without a key.

    A missing or malformed key is a 400. Another request under the same key is a 422. A twin that runs for too long is a
    409 with Retry-After. A replay has the header ``Idempotency-Replayed: true``; the repeated request passes
    authentication, permissions and throttles before it gets the replay. A response that is not final (401, 403, 408,
    409, 425, 429, 5xx) rolls its effects back and leaves the key free.

    ``@idempotent`` opens the transaction, or joins the one that ``@requires`` around it has opened. A rollback does not
    undo effects outside the database: run such effects in ``transaction.on_commit``, or see ``lease``.
    ``request.idempotency`` is the ``Claim``.
    """
    chosen = Policy(**policy)
    if view is None:
        return lambda view: _decorated(view, chosen)
    return _decorated(view, chosen)


def idempotency_exempt(view: Any) -> Any:
    """Exempt this view or class from ``IdempotencyMiddleware``: each repeat of a request has its effect again."""
    if isinstance(view, type):
        view.idempotency_exempt = True  # type: ignore[attr-defined]
        return view

    @functools.wraps(view)
    def exempt(*args: Any, **kwargs: Any) -> Any:
        return view(*args, **kwargs)

    exempt.idempotency_exempt = True  # type: ignore[attr-defined]
    return exempt


def _decorated(view: Any, policy: Policy) -> Any:
    if isinstance(view, type):
        return _decorated_class(view, policy)
    if hasattr(view, "securecore_requires"):
        raise Misuse("Put @requires outside @idempotent, so that a replay passes the permission again.")
    if iscoroutinefunction(view):
        raise Misuse("@idempotent needs a transaction, which Django has for synchronous views only: write def.")
    instance = getattr(getattr(view, "func", None), "__self__", None)  # method_decorator passes a bound method
    on_dispatch = instance is not None and getattr(view, "__name__", "") == "dispatch"

    @functools.wraps(view)
    def keyed(*args: Any, **kwargs: Any) -> Any:
        _, request = request_of(args)
        if on_dispatch:
            guard_handler(instance, request, policy)
            return view(*args, **kwargs)
        api_view = rest_view(request, instance or args[0])
        return once(policy, request, api_view, lambda: view(*args, **kwargs))

    keyed.securecore_takes_key = True  # type: ignore[attr-defined]
    keyed.securecore_idempotent = policy  # type: ignore[attr-defined]
    return _outside_transactions(keyed) if policy.lease is not None else keyed


def _decorated_class(cls: type[Any], policy: Policy) -> type[Any]:
    if not hasattr(cls, "dispatch"):
        raise Misuse("@idempotent goes on a class-based view, which has dispatch(), or on one of its handlers.")
    guard_class(cls)
    dispatch = cls.dispatch

    @functools.wraps(dispatch)
    def dispatch_under_policy(self: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
        state_of(request).idempotency_policy_of_class = policy
        return dispatch(self, request, *args, **kwargs)

    dispatch_under_policy.securecore_idempotent = policy  # type: ignore[attr-defined]
    cls.dispatch = _outside_transactions(dispatch_under_policy) if policy.lease is not None else dispatch_under_policy
    return cls


def _outside_transactions(view: Any) -> Any:
    """Exempt ``view`` from ATOMIC_REQUESTS, so that the claim of a lease commits before the view runs."""
    return transaction.non_atomic_requests(using=settings.DATABASE)(view)

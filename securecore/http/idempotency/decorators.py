"""``@idempotent``, on a function, a handler or a class."""

from __future__ import annotations

import functools
from asyncio import iscoroutinefunction
from collections.abc import Callable
from typing import Any, TypeVar, overload

from django.db import transaction

from securecore.conf import settings
from securecore.errors import Misuse
from securecore.http.authorization.callers import request_of
from securecore.http.idempotency.execution import once
from securecore.http.idempotency.policy import Policy
from securecore.http.idempotency.views import guard_class, guard_handler, rest_view

View = TypeVar("View", bound=Callable[..., Any])


@overload
def idempotent(view: View) -> View: ...
@overload
def idempotent(**policy: Any) -> Callable[[View], View]: ...
def idempotent(view: Any = None, **policy: Any) -> Any:
    """Let ``Idempotency-Key`` have one effect, whatever crashes; every repeat gets the same answer.

    Plain or with the fields of ``Policy``: ``@idempotent(retention=3600, wait=False)``. On a view function, on a
    handler method, or on a class (Django's or REST framework's, viewsets too): then on all its unsafe methods. Safe
    methods pass through.

    Missing or malformed 400, another request under the same key 422, a twin that runs for too long 409 with
    Retry-After. A replay says ``Idempotency-Replayed: true``; authentication, permission and throttles come before
    it, so it passes them again. A response that is not final (401, 403, 408, 409, 425, 429, 5xx) takes its effects
    back and leaves the key free.

    The transaction is opened here or by ``@requires`` around it. Effects outside the database are not undone by a
    rollback: make them in ``transaction.on_commit``, or see ``lease``. ``request.idempotency`` is the ``Claim``.
    """
    chosen = Policy(**policy)
    if view is None:
        return lambda view: _decorated(view, chosen)
    return _decorated(view, chosen)


def idempotency_exempt(view: Any) -> Any:
    """Keep the middleware from this view or class: its repeats have their effects."""
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
    instance = getattr(getattr(view, "func", None), "__self__", None)  # method_decorator hands over a bound method
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
        request.idempotency_policy_of_class = policy
        return dispatch(self, request, *args, **kwargs)

    dispatch_under_policy.securecore_idempotent = policy  # type: ignore[attr-defined]
    cls.dispatch = _outside_transactions(dispatch_under_policy) if policy.lease is not None else dispatch_under_policy
    return cls


def _outside_transactions(view: Any) -> Any:
    """Under ATOMIC_REQUESTS too the claim of a lease commits before the view."""
    return transaction.non_atomic_requests(using=settings.DATABASE)(view)

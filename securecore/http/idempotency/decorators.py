"""``@idempotent`` and ``@idempotency_exempt``, for a view function, a handler or a class."""

from __future__ import annotations

import dataclasses
import difflib
import functools
from collections.abc import Callable
from types import FunctionType
from typing import Any, TypeVar, cast, overload

from django.db import transaction
from django.http.response import HttpResponseBase
from django.views import View as DjangoView

from securecore.conf import settings
from securecore.errors import Misuse
from securecore.http.async_views import finished, in_form_of, passed_through
from securecore.http.idempotency.claim_place import claim_in_handlers, class_of, mark_claims_key
from securecore.http.idempotency.execution import run_under_key
from securecore.http.idempotency.policy import Policy
from securecore.http.request import View
from securecore.http.view_arguments import request_of, rest_view

#: A view function, a handler method, or a class-based view.
Decorated = TypeVar("Decorated", bound=Callable[..., Any])


@overload
def idempotent(view: Decorated) -> Decorated: ...
@overload
def idempotent(**policy: Any) -> Callable[[Decorated], Decorated]: ...
def idempotent(view: Decorated | None = None, **policy: Any) -> Decorated | Callable[[Decorated], Decorated]:
    """Give each ``Idempotency-Key`` one effect, even after a crash; each repeat gets the same response.

    Use the decorator plain or with the fields of ``Policy``: ``@idempotent(retention=3600, wait=False)``. Write it
    directly on a view function or handler method, under every other decorator, or on a class of Django or REST
    framework, also a viewset. On a class it covers all unsafe methods. Safe methods run without a key. Raises
    ``Misuse`` in any other place, because a replay would skip a check there.

    A missing or malformed key is a 400. Another request under the same key is a 422. A twin that runs for too long is a
    409 with Retry-After. A replay has the header ``Idempotency-Replayed: true``; the repeated request passes
    authentication, permissions and throttles before it gets the replay. A response that is not final (401, 403, 408,
    409, 425, 429, 5xx) rolls its effects back and leaves the key free.

    ``@idempotent`` opens the transaction, or joins the one that ``@requires`` around it has opened. A rollback does not
    undo effects outside the database: run such effects in ``transaction.on_commit``, or see ``lease``.
    ``request.idempotency`` is the ``Claim``.
    """
    names = [field.name for field in dataclasses.fields(Policy)]
    if unknown := [name for name in policy if name not in names]:
        nearest = difflib.get_close_matches(unknown[0], names, n=1, cutoff=0.4)
        meant = f" Do you mean {nearest[0]}=?" if nearest else ""
        raise Misuse(f"@idempotent() has no argument {unknown[0]}.{meant} It takes {', '.join(names)}.")
    chosen = Policy(**policy)
    if view is None:
        return lambda view: _decorated(view, chosen)
    return _decorated(view, chosen)


def idempotency_exempt(view: Decorated) -> Decorated:
    """Exempt this view or class from ``IdempotencyMiddleware``.

    Each repeat of a request has its effect again, unless the view claims the key by itself. Example: a function with
    ``@idempotent`` under ``@api_view``, which the middleware cannot see.
    """
    if isinstance(view, type):
        view.idempotency_exempt = True  # type: ignore[attr-defined]
        return view

    @functools.wraps(view)
    def exempt(*args: object, **kwargs: object) -> HttpResponseBase:
        return view(*args, **kwargs)  # type: ignore[no-any-return]

    exempt.idempotency_exempt = True  # type: ignore[attr-defined]
    return passed_through(view, exempt)


def _decorated(view: Decorated, policy: Policy) -> Decorated:
    if isinstance(view, type):
        return cast("Decorated", _decorated_class(view, policy))
    _require_innermost(view)

    def keyed(*args: object, **kwargs: object) -> HttpResponseBase:
        instance, request = request_of(args)
        return run_under_key(policy, request, rest_view(request, instance), lambda: finished(view(*args, **kwargs)))

    decorated = in_form_of(view, keyed)
    mark_claims_key(decorated, policy)
    return cast("Decorated", _outside_transactions(decorated) if policy.lease is not None else decorated)


def _require_innermost(view: Callable[..., object]) -> None:
    """Raise ``Misuse`` unless ``view`` is the function that has the effect (Note [Inside every check])."""
    if class_of(view) is not None or getattr(view, "__name__", "") == "dispatch":
        raise Misuse(
            "Checks run inside dispatch(), and a replay would skip them. Put @idempotent on the class and not on "
            "dispatch() or as_view(). Put it under @api_view."
        )
    if isinstance(view, functools.partial):
        raise Misuse("@idempotent goes on the handler or on the class itself, without method_decorator or partial.")
    if hasattr(view, "__wrapped__") or _has_a_copied_name(view):
        raise Misuse(
            "Put @idempotent under every other decorator, directly on the function. @requires, and each decorator that "
            "may check, stand outside @idempotent, so that a replay passes them again."
        )


def _has_a_copied_name(view: object) -> bool:
    """Return whether a decorator has given ``view`` the name of another function. Its code keeps its own name."""
    return isinstance(view, FunctionType) and view.__qualname__ != view.__code__.co_qualname


def _decorated_class(cls: type[DjangoView], policy: Policy) -> type[DjangoView]:
    if not hasattr(cls, "dispatch"):
        raise Misuse("@idempotent goes on a class-based view, which has dispatch(), or on one of its handlers.")
    dispatch = claim_in_handlers(cls, lambda request: policy)
    mark_claims_key(dispatch, policy)
    if policy.lease is not None:
        _outside_transactions(dispatch)
    return cls


def _outside_transactions(view: View) -> View:
    """Exempt ``view`` from ATOMIC_REQUESTS, so that the claim of a lease commits before the view runs."""
    return transaction.non_atomic_requests(using=settings.DATABASE)(view)

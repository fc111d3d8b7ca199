"""The response of a view, and the effects that the view had before it returned the response.

Note [Error responses]
    A response with a status of 400 or more takes its effects back, whether the view raised it or returned it. For
    example a handler that saves a row and then returns ``Response(status=400)`` saves nothing. ``@requires``,
    ``GrantedView``, ``late`` and ``@idempotent`` share this rule.

Note [Late work]
    Everything that a response does belongs inside the transaction. A streaming response runs its generator after the
    view returned, when a revocation may have returned too, so it is refused. A response that is rendered later (a
    template, a REST framework response with a lazy queryset) is rendered before the commit.
"""

from __future__ import annotations

from inspect import isawaitable
from typing import Any

from django.db import transaction
from rest_framework.response import Response

from securecore.conf import settings
from securecore.errors import Misuse


def completed(response: Any, what: str, *, request: Any = None, api_view: Any = None) -> Any:
    """Return ``response`` with its content made. Raises ``Misuse`` for a stream and for a coroutine (Note [Late work]).

    ``what`` names the caller in the error message; ``api_view`` is REST framework's view of ``request``, if any.
    """
    if isawaitable(response):
        getattr(response, "close", lambda: None)()
        raise Misuse(f"{what} needs a transaction, which Django has for synchronous views only: write def.")
    if getattr(response, "streaming", False):
        response.close()
        raise Misuse(
            f"A streaming response runs after the transaction of {what} has ended, and after a revocation may have "
            f"returned. Answer with the whole content, or with a reference to a resource that is served elsewhere."
        )
    if api_view is not None and isinstance(response, Response) and not hasattr(response, "accepted_renderer"):
        response = api_view.finalize_response(request, response)
    if hasattr(response, "render"):
        response.render()
    return response


def is_error(response: Any) -> bool:
    """Say whether ``response`` takes the effects of its view back (Note [Error responses])."""
    return int(response.status_code) >= 400


def is_replay(response: Any) -> bool:
    """Say whether ``response`` is a stored answer. Its header ``Idempotency-Replayed`` does not tell: a view that
    relays the answer of another service may copy that header too.
    """
    return bool(getattr(response, "securecore_is_replay", False))


def took_back(response: Any) -> bool:
    """Roll the transaction back if ``response`` is an error; say whether it is one.

    ``@idempotent`` has taken back the effects of its own errors; a final error stays stored in this transaction.
    """
    if not is_error(response):
        return False
    if not getattr(response, "securecore_effects_are_settled", False):
        transaction.set_rollback(True, using=settings.DATABASE)
    return True

"""Every unsafe request under a key, also to views that know nothing of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from securecore.errors import Refused
from securecore.http.idempotency.policy import Policy
from securecore.http.idempotency.views import delegate, guard_class, takes_key, under_key
from securecore.http.problems import database_away, is_database_away, problem_response


class IdempotencyMiddleware:
    """Runs the handler of every unsafe request under its ``Idempotency-Key``, after everything that guards it.

    Put it after all middleware that looks at views (CSRF, login): last, before ``RefusalMiddleware`` (securecore.E501).
    Subclass it to change ``policy``. ``@idempotent`` on a view outranks it, ``@idempotency_exempt`` keeps it away. A
    function in a decorator that it does not know answers 400 ``idempotency-not-supported`` to a request with a key:
    write ``@idempotent`` under that decorator.
    """

    policy = Policy(required=False)

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_view(self, request: Any, view: Any, args: Any, kwargs: Any) -> HttpResponse | None:
        cls = getattr(view, "view_class", None) or getattr(view, "cls", None)
        if any(getattr(each, "idempotency_exempt", False) for each in (view, cls)):
            return None
        if not self.policy.applies_to(request):
            return None
        if cls is not None:
            # Django goes on with the view as it is, and with every decorator around it; only its handler is another.
            guard_class(cls)
            request.idempotency_policy_of_class = self.policy
            return None
        delegate(request, self.policy)
        if takes_key(view):
            return None
        return self._called(request, view, args, kwargs)

    def _called(self, request: Any, view: Any, args: Any, kwargs: Any) -> HttpResponse:
        # From here no process_exception is called any more, RefusalMiddleware's neither.
        try:
            response: HttpResponse = under_key(view, (request, *args), kwargs)
        except Refused as refusal:
            return problem_response(request, refusal)
        except Exception as error:
            if not is_database_away(error):
                raise
            return database_away(request, error)
        return response

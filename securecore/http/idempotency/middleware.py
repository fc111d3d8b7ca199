"""The middleware that runs unsafe requests under their idempotency key, also in views without ``@idempotent``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from securecore.errors import Refused
from securecore.http.idempotency.policy import Policy
from securecore.http.idempotency.views import delegate, guard_class, takes_key, under_key
from securecore.http.problems import database_away, is_database_away, problem_response
from securecore.http.request import state_of


class IdempotencyMiddleware:
    """Run the handler of each unsafe request under its ``Idempotency-Key``, after all checks of the view.

    Put this middleware after all middleware that inspects views (CSRF, login): last, before ``RefusalMiddleware``
    (securecore.E501). Subclass it to change ``policy``. ``@idempotent`` on a view has precedence over the middleware;
    ``@idempotency_exempt`` exempts a view. If the view function is inside a decorator that the middleware does not
    know, a request with a key gets a 400 ``idempotency-not-supported``: write ``@idempotent`` under that decorator.
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
            # Django calls the view with each decorator around it as before. Only the handler is replaced.
            guard_class(cls)
            state_of(request).idempotency_policy_of_class = self.policy
            return None
        delegate(request, self.policy)
        if takes_key(view):
            return None
        return self._called(request, view, args, kwargs)

    def _called(self, request: Any, view: Any, args: Any, kwargs: Any) -> HttpResponse:
        # Django calls no process_exception for an exception raised here, so RefusalMiddleware does not see it.
        try:
            response: HttpResponse = under_key(view, (request, *args), kwargs)
        except Refused as refusal:
            return problem_response(request, refusal)
        except Exception as error:
            if not is_database_away(error):
                raise
            return database_away(request, error)
        return response

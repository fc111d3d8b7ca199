"""The middleware that runs unsafe requests under their idempotency key, also in views without ``@idempotent``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.views import View as DjangoView

from securecore.errors import IdempotencyNotSupported
from securecore.http.idempotency.claim_place import claim_in_handlers, claims_key, class_of, is_declared
from securecore.http.idempotency.policy import Policy
from securecore.http.problems import problem_response
from securecore.http.request import AnyRequest, GetResponse, SecureRequest, View, django_request, state_of


class IdempotencyMiddleware:
    """Run each unsafe request with an ``Idempotency-Key`` under that key, or refuse the request.

    A class-based view of Django or REST framework runs its handler under the key, after all checks of the view. A view
    with ``@idempotent`` claims the key by itself. A view with ``@idempotency_exempt`` runs as without this middleware.
    Each other view has no known place for the claim: a request with a key gets a 400 ``idempotency-not-supported``.
    ``manage.py check`` lists these views with the line to write (securecore.W502).

    The middleware calls no view. Subclass it to change ``policy``.
    """

    policy = Policy(required=False)

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_view(
        self, request: SecureRequest, view: View, args: Sequence[object], kwargs: Mapping[str, object]
    ) -> HttpResponse | None:
        cls = class_of(view)
        if is_exempt(view, cls) or not self.policy.applies_to(request):
            return None
        if cls is None:
            # Returned and not raised: Django calls no process_exception for an exception of process_view.
            return None if claims_key(view) else problem_response(request, IdempotencyNotSupported())
        if not is_declared(cls):
            serve_class(cls)
            state_of(request).idempotency_policy = self.policy
        return None


def is_exempt(view: object, cls: type[DjangoView] | None) -> bool:
    """Return whether the view function ``view``, or its class, has ``@idempotency_exempt``."""
    return any(getattr(each, "idempotency_exempt", False) for each in (view, cls))


def serve_class(cls: type[DjangoView]) -> None:
    """Let the handlers of ``cls`` claim the key of each request for which the middleware has chosen a policy."""
    if "serves_idempotency_keys" in vars(cls):
        return
    claim_in_handlers(cls, _chosen_policy)
    cls.serves_idempotency_keys = True  # type: ignore[attr-defined]


def _chosen_policy(request: AnyRequest) -> Policy | None:
    """Return the policy that the middleware chose, and forget it.

    If the handler calls another view, that call is no second request.
    """
    state = state_of(django_request(request))
    policy, state.idempotency_policy = state.idempotency_policy, None
    return policy

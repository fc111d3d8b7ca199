"""Keep responses to requests with credentials out of caches, so that no other request gets them.

Django's page caches (``cache_page``, ``UpdateCacheMiddleware``, ``FetchFromCacheMiddleware``, ``CacheMiddleware``) key
a page by its URL and by the request headers in ``Vary``. The client certificate is in no request header that ``Vary``
could name, and ``cache_page`` stores the page before the middleware around the view have added ``Vary: Cookie``.
Without this module Django would serve the page of one caller to another caller, or to the same caller after a
revocation.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.cache import FetchFromCacheMiddleware, UpdateCacheMiddleware
from django.utils.cache import patch_cache_control, patch_vary_headers
from django.utils.functional import SimpleLazyObject

from securecore.conf import django_settings
from securecore.http.async_views import passed_through
from securecore.http.request import AnyView, SecureRequest, django_request, state_of
from securecore.http.view_arguments import request_of

#: Request headers that carry a credential or a proof.
_CREDENTIALS = ("HTTP_AUTHORIZATION", "HTTP_DPOP", "HTTP_SIGNATURE")
#: Response headers that a shared cache obeys instead of ``Cache-Control``: RFC 9213, Edge Architecture, nginx.
_TARGETED = ("cdn-cache-control", "surrogate-control", "x-accel-expires")


def public_response(view: AnyView) -> AnyView:
    """Allow caches to keep the responses of ``view``, which are the same for each caller.

    ::

        @public_response
        @cache_page(60)
        def exchange_rates(request): ...

    In a class-based view put the decorator above ``cache_page`` on the handler, so that the view authenticates first.
    The site-wide cache looks for a page before the view is known, so it never serves a page to a request with
    credentials.
    """

    @wraps(view)
    def marked(*arguments: Any, **named: Any) -> Any:
        _, request = request_of(arguments)
        state_of(django_request(request)).response_is_public = True
        return view(*arguments, **named)

    return passed_through(view, marked)


def keep_private(request: SecureRequest, response: HttpResponseBase) -> HttpResponseBase:
    """Keep the response to a request with credentials out of shared caches.

    If the view sets no ``Cache-Control``, keep the response out of all caches (RFC 9440 section 2.4, RFC 9111
    section 3.5).
    """
    if request.securecore.response_is_public or _is_anonymous(request):
        return response
    for name in [name for name in response.headers if name.lower().endswith(_TARGETED)]:
        del response[name]
    if not response.has_header("Cache-Control"):
        response["Cache-Control"] = "no-store"
        return response
    directives = [text.strip() for text in response["Cache-Control"].split(",")]
    kept = [text for text in directives if text.partition("=")[0].lower() not in ("", "public", "s-maxage")]
    response["Cache-Control"] = ", ".join(kept)
    if "no-store" not in [text.lower() for text in kept]:
        patch_cache_control(response, private=True)
    patch_vary_headers(response, _presented(request))
    return response


def connect() -> None:
    """Make Django's page caches skip each request with credentials. Called once, when Django starts.

    The two methods are wrapped, since nothing else reaches ``cache_page`` wherever it stands.
    """
    if not hasattr(FetchFromCacheMiddleware.process_request, "__wrapped__"):
        _wrap_fetch(FetchFromCacheMiddleware.process_request)
        _wrap_update(UpdateCacheMiddleware.process_response)


def _wrap_fetch(fetch: Callable[[FetchFromCacheMiddleware, HttpRequest], HttpResponse | None]) -> None:
    @wraps(fetch)
    def process_request(self: FetchFromCacheMiddleware, request: HttpRequest) -> HttpResponse | None:
        if _may_be_shared(django_request(request)):
            return fetch(self, request)
        vars(request)["_cache_update_cache"] = False  # as Django does for a page from the cache
        return None

    FetchFromCacheMiddleware.process_request = process_request  # type: ignore[method-assign]


def _wrap_update(
    update: Callable[[UpdateCacheMiddleware, HttpRequest, HttpResponseBase | str], HttpResponseBase | str],
) -> None:
    @wraps(update)
    def process_response(
        self: UpdateCacheMiddleware, request: HttpRequest, response: HttpResponseBase | str
    ) -> HttpResponseBase | str:
        return update(self, request, response) if _may_be_shared(django_request(request)) else response

    UpdateCacheMiddleware.process_response = process_response  # type: ignore[method-assign]


def _may_be_shared(request: SecureRequest) -> bool:
    return state_of(request).response_is_public or _is_anonymous(request)


def _is_anonymous(request: SecureRequest) -> bool:
    """Return whether the request presented no credential, and the view identified nobody."""
    # Before ClientCertificateMiddleware has run, request.client_certificate does not exist, although the connection may
    # have a certificate.
    return hasattr(request, "client_certificate") and not (_presented(request) or _was_identified(request))


def _was_identified(request: SecureRequest) -> bool:
    """Return whether the view began a session, or authenticated a user by a credential unknown to securecore."""
    session, user = getattr(request, "session", None), getattr(request, "user", None)
    if getattr(session, "modified", False) or getattr(session, "session_key", None):
        return True
    # A lazy user comes from the session. REST framework replaces it with the user that a class authenticated.
    return type(user) is not SimpleLazyObject and bool(getattr(user, "is_authenticated", False))


def _presented(request: SecureRequest) -> list[str]:
    """Return the header fields by which the request presents credentials."""
    names = [name.removeprefix("HTTP_").title() for name in _CREDENTIALS if request.META.get(name)]
    if django_settings.SESSION_COOKIE_NAME in request.COOKIES:
        names.append("Cookie")
    if request.client_certificate is not None:
        names.append("Client-Cert")
    return names

"""The three middleware of a project that uses securecore, in this order: certificate, session, and last of all
refusals.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib.sessions.middleware import SessionMiddleware as DjangoSessionMiddleware
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers

from securecore import access, clock
from securecore.conf import django_settings
from securecore.errors import Refused
from securecore.http.admission import refuse_cross_site, refuse_early_data, refuse_token_in_url
from securecore.http.dpop import presented_proof
from securecore.http.problems import DATABASE_AWAY, database_away, problem_response
from securecore.http.proxy import proven_certificate


class ClientCertificateMiddleware:
    """Sets ``request.client_certificate`` (``ClientCertificate`` or None) and ``request.certificate_user`` (an active
    user or None).

    On every request, since neither the proxy nor TLS asks again on an open connection: the dates, and our own
    revocation.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        try:
            self._admit(request)
            response = self.get_response(request)
        except Refused as refusal:
            return problem_response(request, refusal)
        except DATABASE_AWAY as error:
            return database_away(request, error)
        # A view's exceptions reach RefusalMiddleware; those of other middleware arrive as a 500 (or, when the page for
        # it needs the database too, as they are).
        away = getattr(request, "database_away", None)
        if away and response.status_code == 500:
            return database_away(request, away)
        return self._private(request, response)

    def _private(self, request: Any, response: HttpResponseBase) -> HttpResponseBase:
        """Keep what the certificate chose out of caches (RFC 9440 section 2.4). A view that says how it may be cached
        is believed, for the same certificate.
        """
        if request.client_certificate is not None:
            if response.has_header("Cache-Control"):
                patch_vary_headers(response, ["Client-Cert"])
            else:
                response["Cache-Control"] = "no-store"
        return response

    def _admit(self, request: Any) -> None:
        request.client_certificate = request.certificate_user = None
        certificate = proven_certificate(request, clock.now())
        refuse_early_data(request)
        refuse_token_in_url(request)
        refuse_cross_site(request)
        if certificate is not None:
            request.certificate_user = access.user_of_certificate(certificate)
            request.client_certificate = certificate
        request.dpop_proof = presented_proof(request)


class SessionMiddleware(DjangoSessionMiddleware):
    """Django's, and the engine learns what this request proved, so that a session is only loaded by whom it belongs
    to.
    """

    def process_request(self, request: Any) -> None:
        presented_key = request.COOKIES.get(django_settings.SESSION_COOKIE_NAME)
        certificate = request.client_certificate
        binding = f"x5t#S256:{certificate.thumbprint}" if certificate else ""
        request.session = self.SessionStore(presented_key, binding)  # type: ignore[call-arg]  # our engine (securecore.E201)

    def process_response(self, request: HttpRequest, response: Any) -> Any:
        try:
            return super().process_response(request, response)
        except DATABASE_AWAY as error:
            return database_away(request, error)


class RefusalMiddleware:
    """Turns what a view refuses, and a database that is away, into a problem response."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if isinstance(exception, Refused):
            return problem_response(request, exception)
        if isinstance(exception, DATABASE_AWAY):
            return database_away(request, exception)
        return None

"""A request of ``RequestFactory`` or ``APIRequestFactory``, as a view sees it behind securecore's middleware."""

from __future__ import annotations

from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse

from securecore.arguments import require_user
from securecore.conf import django_settings
from securecore.errors import Misuse
from securecore.http.middleware import AuthenticationMiddleware, ClientCertificateMiddleware, SessionMiddleware
from securecore.http.request import SecureRequest, django_request
from securecore.testing.authority import Issued
from securecore.testing.forwarding import forwarded
from securecore.texts import quoted


def identified(request: HttpRequest, issued: Issued | None = None, *, user: object = None) -> SecureRequest:
    """Return ``request`` with the identity of this certificate, for a direct call of a view.

    ::

        request = identified(RequestFactory().post("/transfers"), authority.certificate_for("alice"))
        response = create_transfer(request)

    ``user`` becomes ``request.user``, as a login would set it; by default the request has no session's user. Raises the
    refusal that the middleware responds with, for example ``CertificateRevoked``, and ``Misuse`` for a value of another
    kind.
    """
    identified_request = django_request(request)
    if not isinstance(identified_request, HttpRequest):
        raise Misuse(f"{quoted(request)} is no request: pass one of RequestFactory(), identified(factory.get('/')).")
    identified_request.META |= {**forwarded(issued), "wsgi.url_scheme": "https", "SERVER_PORT": "443"}
    ClientCertificateMiddleware(_respond).admit(identified_request)
    if django_settings.SESSION_ENGINE == "securecore.sessions":
        SessionMiddleware(_respond).process_request(identified_request)
        AuthenticationMiddleware(_respond).process_request(identified_request)
    if user is not None and not isinstance(user, AnonymousUser):
        require_user(user)
    if user is not None or not hasattr(identified_request, "user"):
        identified_request.user = user or AnonymousUser()  # type: ignore[assignment]
    return identified_request


def _respond(request: HttpRequest) -> HttpResponse:
    return HttpResponse()

"""The service behind each proxy: it reports its caller, and has an effect that needs a grant."""

from __future__ import annotations

import hashlib
import ssl
from typing import Any

from django.core.wsgi import get_wsgi_application

application = get_wsgi_application()

from django.contrib.auth.models import Group  # noqa: E402
from django.http import HttpRequest, JsonResponse  # noqa: E402
from django.urls import path  # noqa: E402
from django.views.decorators.csrf import csrf_exempt  # noqa: E402

from securecore.http.actor import request_id_of  # noqa: E402
from securecore.http.decorators import requires  # noqa: E402
from securecore_client.wire.thumbprints import base64url  # noqa: E402


def whoami(request: Any) -> JsonResponse:
    certificate, user = request.client_certificate, request.certificate_user
    return JsonResponse(
        {
            "user": user and user.username,
            "thumbprint": certificate and certificate.thumbprint,
            "chain": len(certificate.chain) if certificate else 0,
            "peer": _thumbprint_of_peer(request),
            "scheme": request.scheme,
            "request_id": request_id_of(request),
            "claims": [name for name in request.META if "CERT" in name or "SSL" in name or "MTLS" in name],
        }
    )


def _thumbprint_of_peer(request: HttpRequest) -> str | None:
    """Return the thumbprint that Python's own getpeercert() reports for a TLS connection that ends here."""
    connection = request.META.get("gunicorn.socket")
    der = connection.getpeercert(binary_form=True) if isinstance(connection, ssl.SSLSocket) else None
    return base64url(hashlib.sha256(der).digest()) if der else None


@csrf_exempt
@requires("payments.create")
def pay(request: HttpRequest) -> JsonResponse:
    Group.objects.create(name=request.body.decode())
    return JsonResponse({}, status=201)


urlpatterns = [path("whoami", whoami), path("pay", pay)]

"""A client certificate for ``manage.py runserver``, which speaks plain http and has no proxy in front."""

from __future__ import annotations

import os
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from django.core.exceptions import ImproperlyConfigured, MiddlewareNotUsed
from django.http.response import HttpResponseBase

from securecore.conf import django_settings
from securecore.http.request import GetResponse, SecureRequest
from securecore.settings import DEVELOPMENT_CERTIFICATE
from securecore.testing.authority import Issued
from securecore.testing.forwarding import forwarded

_LOOPBACK = ("127.0.0.1", "::1")


class DevelopmentIdentityMiddleware:
    """Give each request from this machine the certificate that ``SECURECORE_DEVELOPMENT_CERTIFICATE`` names.

    The key of alice.pem lies beside it, as alice.key.

    ``securecore.settings.middleware(MIDDLEWARE, development=DEBUG)`` puts it before ``ClientCertificateMiddleware``,
    which judges the certificate like each other one: its dates, its enrolment, its revocation. A request of another
    machine, or of a proxy, keeps its own identity. Raises ``ImproperlyConfigured`` without DEBUG (securecore.E111).
    """

    def __init__(self, get_response: GetResponse) -> None:
        if not django_settings.DEBUG:
            raise ImproperlyConfigured(
                "securecore.E111: DevelopmentIdentityMiddleware takes every request for one certificate, so it exists "
                "with DEBUG only. Write MIDDLEWARE = middleware(MIDDLEWARE, development=DEBUG)."
            )
        path = os.environ.get(DEVELOPMENT_CERTIFICATE)
        if not path:
            raise MiddlewareNotUsed
        self.get_response = get_response
        self.issued = _read(Path(path))

    def __call__(self, request: SecureRequest) -> HttpResponseBase:
        # A proxy on a unix socket has no address, so this never replaces the certificate that a proxy verified.
        if request.META.get("REMOTE_ADDR") in _LOOPBACK:
            request.META.update(forwarded(self.issued))
        return self.get_response(request)


def _read(path: Path) -> Issued:
    """Return the certificate and its key. Without the key it would be the certificate of another person."""
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
        key = load_pem_private_key(path.with_suffix(".key").read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise ImproperlyConfigured(
            f"{DEVELOPMENT_CERTIFICATE} must name a PEM certificate with its key beside it, for example "
            f"deploy/pki/alice.pem: {error}"
        ) from None
    if key.public_key() != certificate.public_key():
        raise ImproperlyConfigured(f"{path.with_suffix('.key')} is not the key of {path}.")
    return Issued(certificate, key)  # type: ignore[arg-type]  # of any kind: nothing is signed with it

"""Test clients of Django and of REST framework that present a client certificate."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from django.test import Client
from rest_framework.test import APIClient

from securecore.conf import django_settings
from securecore.http.sessions.binding import proven
from securecore.identity import parse_pem
from securecore.sessions import SessionStore
from securecore.testing.authority import Issued
from securecore.testing.forwarding import forwarded


class _MutualTLS(Client):
    """Send each request over https, as the proxy of the settings forwards it.

    ``issued`` is the certificate, None for a client without one. ``defaults`` are further values of META, for example
    ``HTTP_ACCEPT``; they replace those of the proxy. ``login()`` and ``force_login()`` bind the session to the
    certificate, as ``/auth/login`` does.
    """

    #: Return META of a request under a certificate; see ``securecore.testing.forwarding``.
    forwarded = staticmethod(forwarded)

    def __init__(self, issued: Issued | None = None, /, **defaults: Any) -> None:
        super().__init__(**{**self.forwarded(issued), **defaults})
        self.issued = issued

    def request(self, **request: Any) -> Any:
        return super().request(**{**request, "wsgi.url_scheme": "https", "SERVER_PORT": "443"})

    @property
    def session(self) -> Any:
        """Return the session of the client's cookie, or a new one, bound to the certificate."""
        engine: Any = import_module(django_settings.SESSION_ENGINE)
        if not issubclass(engine.SessionStore, SessionStore):
            return super().session
        certificate = None if self.issued is None else parse_pem(self.issued.pem)
        cookie = self.cookies.get(django_settings.SESSION_COOKIE_NAME)
        session = engine.SessionStore(cookie.value if cookie else None, *proven(certificate))
        if not cookie:
            session.save()
            self.cookies[django_settings.SESSION_COOKIE_NAME] = session.session_key
        return session


class MutualTLSClient(_MutualTLS):
    """Django's test client with a client certificate: ``MutualTLSClient(authority.certificate_for("alice"))``."""


class MutualTLSAPIClient(_MutualTLS, APIClient):
    """REST framework's test client with a client certificate, also with ``force_authenticate()`` and ``format=``."""

from __future__ import annotations

import inspect
import re
from importlib import metadata
from typing import Any

from django.core.checks import CheckMessage, Error, Warning
from django.utils.module_loading import import_string

from securecore import conf
from securecore.conf import django_settings
from securecore.http.backends import CertificateBackend
from securecore.http.edge import proxy_signature
from securecore.identity import chain
from securecore_client.wire.message_signatures import SignatureError

CERTIFICATE = "securecore.http.middleware.ClientCertificateMiddleware"
SESSION = "securecore.http.middleware.SessionMiddleware"
REFUSAL = "securecore.http.middleware.RefusalMiddleware"
DEVELOPMENT = "securecore.testing.development.DevelopmentIdentityMiddleware"
_BACKEND = "securecore.http.backends.CertificateBackend"
_MODEL_BACKEND = "django.contrib.auth.backends.ModelBackend"


def e101_certificate_middleware(**_: Any) -> list[CheckMessage]:
    if CERTIFICATE in django_settings.MIDDLEWARE:
        return []
    return [
        Error(
            "Identity headers are neither read nor stripped.",
            hint=f"Put {CERTIFICATE!r} into MIDDLEWARE, before all middleware that reads a request.",
            id="securecore.E101",
        )
    ]


def e102_refusal_middleware(**_: Any) -> list[CheckMessage]:
    if REFUSAL in django_settings.MIDDLEWARE:
        return []
    return [
        Error(
            "The response to a refused request would be 500.",
            hint=f"Put {REFUSAL!r} into MIDDLEWARE, last.",
            id="securecore.E102",
        )
    ]


def w103_nobody_is_trusted(**_: Any) -> list[CheckMessage]:
    settings = conf.settings
    if settings.TRUSTED_PROXIES or settings.CERTIFICATE_SOURCE == "gunicorn":
        return []
    return [
        Warning(
            "No proxy is trusted, so no request will ever have a client certificate.",
            hint="Set SECURECORE['TRUSTED_PROXIES'] = ['unix:'], or name the proxies' networks, and PROXY_SECRETS.",
            id="securecore.W103",
        )
    ]


def e104_authorities(**_: Any) -> list[CheckMessage]:
    """Report an unreadable file of authorities. Otherwise the first request would fail with 500."""
    path = conf.settings.CERTIFICATE_AUTHORITIES
    if not path:
        return []
    try:
        chain.load(path)
    except (OSError, ValueError) as error:
        return [
            Error(
                f"The authorities in {path} cannot be read: {error}",
                hint="CERTIFICATE_AUTHORITIES is a file of PEM certificates, at least one of them a root.",
                id="securecore.E104",
            )
        ]
    return []


def w105_underscores(**_: Any) -> list[CheckMessage]:
    """Report uWSGI, which maps X_SSL_Client_Verify and X-SSL-Client-Verify to the same variable (uWSGI 2.0.31).

    Django drops names with underscores under ASGI only. uvicorn, Hypercorn and Granian are for ASGI or WSGI, so the
    middleware reports them, when one serves WSGI (``ServerConfusesHeaders``).
    """
    if not _is_installed("uWSGI"):
        return []
    return [
        Warning(
            "uWSGI takes X_SSL_Client_Verify for X-SSL-Client-Verify: unless the proxy drops the name, a client can "
            "claim any certificate.",
            hint="Serve with gunicorn (header_map = 'drop') or waitress. If the proxy drops such names, as nginx does, "
            "silence this.",
            id="securecore.W105",
        )
    ]


def e106_proxy_signature_keys(**_: Any) -> list[CheckMessage]:
    """Report unusable keys of proxies. Otherwise every certificate would be refused, with the reason in the event
    only.
    """
    return [message for key in conf.settings.PROXY_SIGNATURE_KEYS for message in _unusable(key)]


def _unusable(key: dict[str, str]) -> list[CheckMessage]:
    try:
        proxy_signature.load_key(key["public_key"])
    except SignatureError as error:
        return [
            Error(
                f"The proxy's key {key['keyid']!r} verifies nothing: {error}",
                hint="'public_key' in PROXY_SIGNATURE_KEYS is a PEM public key: P-256, P-384, Ed25519, or RSA of 2048 "
                "to 4096 bits.",
                id="securecore.E106",
            )
        ]
    return []


#: An assignment to the address of the connection's peer.
_REWRITES_PEER = re.compile(r"""\[["']REMOTE_ADDR["']\]\s*=(?!=)""")


def e107_peer_is_rewritten(**_: Any) -> list[CheckMessage]:
    """Report middleware that writes REMOTE_ADDR before the certificate middleware reads it.

    A client chooses the address that such a middleware writes, from X-Forwarded-For for example. An empty address even
    passes for a unix socket.
    """
    settings, installed = conf.settings, list(django_settings.MIDDLEWARE)
    if CERTIFICATE not in installed or not settings.TRUSTED_PROXIES:
        return []
    return [
        Error(
            f"{name!r} writes REMOTE_ADDR before securecore recognizes the proxy by REMOTE_ADDR.",
            hint=f"Put {CERTIFICATE!r} before it in MIDDLEWARE.",
            id="securecore.E107",
        )
        for name in installed[: installed.index(CERTIFICATE)]
        if _REWRITES_PEER.search(_source_of(name))
    ]


def _source_of(middleware: str) -> str:
    """Return the source of the module of ``middleware``; empty if it cannot be read."""
    try:
        module = inspect.getmodule(import_string(middleware))
        return inspect.getsource(module) if module else ""
    except (ImportError, OSError, TypeError):
        return ""  # Django itself reports a failed import


def _is_installed(distribution: str) -> bool:
    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True


def w108_certificate_backend(**_: Any) -> list[CheckMessage]:
    """Report a project in which no certificate logs a user in: ``/auth/login`` refuses each certificate as unknown."""
    if any(_is_subclass(name, CertificateBackend) for name in django_settings.AUTHENTICATION_BACKENDS):
        return []
    return [
        Warning(
            "Nobody can log in by certificate, and user.has_perm() knows no grant.",
            hint=f"Set AUTHENTICATION_BACKENDS = {[_BACKEND, *django_settings.AUTHENTICATION_BACKENDS]!r}. Without "
            f"{_MODEL_BACKEND!r} no password is accepted, for example in the admin.",
            id="securecore.W108",
        )
    ]


def _is_subclass(name: str, base: type[Any]) -> bool:
    try:
        imported = import_string(name)
    except ImportError:
        return False  # Django itself reports the name
    return isinstance(imported, type) and issubclass(imported, base)


def w109_scheme(**_: Any) -> list[CheckMessage]:
    """Report a proxy without a header for the scheme. The application then sees plain HTTP: CSRF protection compares
    no origin, links begin with http://, and the URL of a DPoP proof does not fit.
    """
    header: Any = django_settings.SECURE_PROXY_SSL_HEADER
    if not conf.settings.TRUSTED_PROXIES or header:
        return []
    return [
        Warning(
            "A request that the proxy received over TLS may look like plain HTTP to the application.",
            hint="Set SECURE_PROXY_SSL_HEADER = ('HTTP_X_FORWARDED_PROTO', 'https'), and let the proxy overwrite "
            "X-Forwarded-Proto, as nginx/proxied.conf does.",
            id="securecore.W109",
        )
    ]


def w110_order(**_: Any) -> list[CheckMessage]:
    """Report entries behind ``RefusalMiddleware``: a refusal that one of them raises is a 500."""
    installed = list(django_settings.MIDDLEWARE)
    if REFUSAL not in installed or installed[-1] == REFUSAL:
        return []
    return [
        Warning(
            f"{installed[-1]!r} sees the exceptions of views before RefusalMiddleware, and its own refusals are a 500.",
            hint=f"Put {REFUSAL!r} into MIDDLEWARE, last; or write MIDDLEWARE = middleware(MIDDLEWARE) with "
            "securecore.settings.middleware, which orders the list.",
            id="securecore.W110",
        )
    ]


def e111_development_identity(**_: Any) -> list[CheckMessage]:
    """Report the middleware that takes every request for one certificate, in a project without DEBUG."""
    if django_settings.DEBUG or DEVELOPMENT not in django_settings.MIDDLEWARE:
        return []
    return [
        Error(
            "Every request of this machine may count as the holder of one certificate.",
            hint=f"Remove {DEVELOPMENT!r} from MIDDLEWARE: middleware(MIDDLEWARE, development=DEBUG) adds it with "
            "DEBUG only. Without DEBUG no process of the service starts.",
            id="securecore.E111",
        )
    ]


CHECKS = (
    e101_certificate_middleware,
    e102_refusal_middleware,
    w103_nobody_is_trusted,
    e104_authorities,
    w105_underscores,
    e106_proxy_signature_keys,
    e107_peer_is_rewritten,
    w108_certificate_backend,
    w109_scheme,
    w110_order,
    e111_development_identity,
)

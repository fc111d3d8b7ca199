"""Functions for the settings module of a project: the order of MIDDLEWARE and the classes of REST framework.

::

    from securecore.settings import authentication_backends, middleware, rest_framework

    MIDDLEWARE = middleware(MIDDLEWARE)
    AUTHENTICATION_BACKENDS = authentication_backends()
    REST_FRAMEWORK = rest_framework()

They import nothing of Django, since Django is not set up while it reads the settings. ``manage.py securecore_init``
prints them with the other settings; ``manage.py check`` says when a list is wrong.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from securecore.errors import Misuse

_OURS = "securecore.http.middleware."
_CERTIFICATE, _SESSION, _USER, _REFUSAL = (
    f"{_OURS}{name}"
    for name in ("ClientCertificateMiddleware", "SessionMiddleware", "AuthenticationMiddleware", "RefusalMiddleware")
)
#: Names the certificate of ``manage.py runserver``, for example deploy/pki/alice.pem.
DEVELOPMENT_CERTIFICATE = "SECURECORE_DEVELOPMENT_CERTIFICATE"
#: Exists with DEBUG and with this variable only (securecore.E111).
_DEVELOPMENT = "securecore.testing.development.DevelopmentIdentityMiddleware"
#: Django's middleware that securecore replaces: its own knows bindings, tokens and the one query.
_REPLACED = {
    "django.contrib.sessions.middleware.SessionMiddleware": _SESSION,
    "django.contrib.auth.middleware.AuthenticationMiddleware": _USER,
    "django.contrib.auth.middleware.LoginRequiredMiddleware": f"{_OURS}LoginRequiredMiddleware",
}
#: They read no identity, and answer some requests alone: redirects to https, static files, preflights of browsers.
_BEFORE_THE_CERTIFICATE = (
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
)
_AUTHENTICATION = "securecore.http.authentication."
_DRF_SESSIONS = "rest_framework.authentication.SessionAuthentication"


def middleware(installed: Sequence[str], *, development: bool = False) -> list[str]:
    """Return MIDDLEWARE with securecore's four entries, each in its place.

    The certificate stands before all middleware that reads a request. The session and the user stand in the places of
    Django's, and the refusals last. The project's own entries keep their order. Example: the list that ``startproject``
    writes. With ``development=DEBUG``, ``manage.py runserver`` takes the certificate that the environment variable
    ``SECURECORE_DEVELOPMENT_CERTIFICATE`` names for that of the client (docs/howto/development.md). Without the
    variable nothing is added, so that the tests of the project run, for which Django sets DEBUG to False. Raises
    ``Misuse`` for a text in place of a list.
    """
    if isinstance(installed, str):
        raise Misuse("MIDDLEWARE is a list of names: middleware(MIDDLEWARE).")
    names = [_REPLACED.get(name, name) for name in installed if name not in (_DEVELOPMENT, _CERTIFICATE, _REFUSAL)]
    leading = next((at for at, name in enumerate(names) if name not in _BEFORE_THE_CERTIFICATE), len(names))
    if _SESSION not in names:
        names.insert(leading, _SESSION)
    if _USER not in names:
        names.insert(names.index(_SESSION) + 1, _USER)
    if names.index(_USER) < names.index(_SESSION):
        names.remove(_SESSION)
        names.insert(names.index(_USER), _SESSION)
    is_given = development and os.environ.get(DEVELOPMENT_CERTIFICATE)
    edge = [_DEVELOPMENT, _CERTIFICATE] if is_given else [_CERTIFICATE]
    return [*names[:leading], *edge, *names[leading:], _REFUSAL]


def authentication_backends(
    installed: Sequence[str] = ("django.contrib.auth.backends.ModelBackend",),
) -> list[str]:
    """Return AUTHENTICATION_BACKENDS with securecore's in front: a certificate logs in, and has_perm() knows grants.

    Without an argument Django's ModelBackend follows, so passwords still work, for example in the admin.
    """
    backend = "securecore.http.backends.CertificateBackend"
    return [backend, *(name for name in installed if name != backend)]


def rest_framework(settings: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return REST_FRAMEWORK in which callers are known by access token, DPoP token or certificate.

    The classes of ``settings`` follow behind securecore's, so that no client is logged out: for example those of
    simplejwt go on until you remove them (docs/howto). REST framework's SessionAuthentication becomes securecore's,
    also where ``settings`` names no classes and REST framework would add it by itself. A view without
    ``permission_classes`` demands a caller, unless ``settings`` says otherwise.
    """
    own = [
        f"{_AUTHENTICATION}{name}"
        for name in ("AccessTokenAuthentication", "DPoPAuthentication", "CertificateAuthentication")
    ]
    given = dict(settings or {})
    classes = [
        f"{_AUTHENTICATION}SessionAuthentication" if name == _DRF_SESSIONS else name
        for name in given.pop("DEFAULT_AUTHENTICATION_CLASSES", (_DRF_SESSIONS,))
    ]
    return {
        "DEFAULT_AUTHENTICATION_CLASSES": [*own, *(name for name in classes if name not in own)],
        "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
        "EXCEPTION_HANDLER": "securecore.http.problems.exception_handler",
        **given,
    }

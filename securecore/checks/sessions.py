from __future__ import annotations

from typing import Any

from django.core.checks import CheckMessage, Error, Warning

from securecore.checks.identity import CERTIFICATE, SESSION
from securecore.conf import django_settings

_ENGINE = "securecore.sessions"


def e201_session_middleware(**_: Any) -> list[CheckMessage]:
    """The engine cannot know the certificate without our middleware, and other engines cannot take it."""
    if (django_settings.SESSION_ENGINE == _ENGINE) == (SESSION in django_settings.MIDDLEWARE):
        return []
    return [
        Error(
            "Sessions are not bound to the client certificate.",
            hint=f"Set SESSION_ENGINE = {_ENGINE!r} and put {SESSION!r} into MIDDLEWARE in place of Django's.",
            id="securecore.E201",
        )
    ]


def e202_session_after_certificate(**_: Any) -> list[CheckMessage]:
    order = [name for name in django_settings.MIDDLEWARE if name in (CERTIFICATE, SESSION)]
    if order != [SESSION, CERTIFICATE]:
        return []
    return [
        Error(
            "The session is loaded before the certificate is known.",
            hint=f"Put {CERTIFICATE!r} before {SESSION!r} in MIDDLEWARE.",
            id="securecore.E202",
        )
    ]


def w203_session_cookie(**_: Any) -> list[CheckMessage]:
    """ASVS 5.0 v5.0.0-3.3.1 to 3.3.4."""
    cookie = django_settings
    safe = (
        cookie.SESSION_COOKIE_SECURE
        and cookie.SESSION_COOKIE_HTTPONLY
        and cookie.SESSION_COOKIE_NAME.startswith("__Host-")
        and cookie.SESSION_COOKIE_SAMESITE in ("Lax", "Strict")
    )
    if safe or cookie.SESSION_ENGINE != _ENGINE:
        return []
    return [
        Warning(
            "The session cookie could be set or read by somebody else.",
            hint="Set SESSION_COOKIE_NAME = '__Host-sessionid', SESSION_COOKIE_SECURE = True, "
            "SESSION_COOKIE_HTTPONLY = True and SESSION_COOKIE_SAMESITE = 'Lax'.",
            id="securecore.W203",
        )
    ]


CHECKS = (e201_session_middleware, e202_session_after_certificate, w203_session_cookie)

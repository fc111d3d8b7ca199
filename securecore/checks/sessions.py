from __future__ import annotations

from typing import Any

from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.sessions.middleware import SessionMiddleware as DjangoSessionMiddleware
from django.core.checks import CheckMessage, Error, Warning

from securecore.checks import middleware
from securecore.checks.identity import CERTIFICATE, SESSION
from securecore.conf import django_settings, settings
from securecore.http.middleware import SessionMiddleware

_ENGINE = "securecore.sessions"
_DJANGO_S = "django.contrib.sessions.middleware.SessionMiddleware"


def e201_session_middleware(**_: Any) -> list[CheckMessage]:
    """Report engine and middleware that do not fit.

    Without securecore's middleware the engine has no certificate. Other engines do not accept the middleware's
    arguments.
    """
    if (django_settings.SESSION_ENGINE == _ENGINE) == (middleware.position(SessionMiddleware) is not None):
        return []
    return [
        Error(
            "Sessions are not bound to the client certificate.",
            hint=f"Set SESSION_ENGINE = {_ENGINE!r} and put {SESSION!r} into MIDDLEWARE in place of {_DJANGO_S!r}.",
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


def _weaker(*, id: str, safe: bool, problem: str, hint: str) -> list[CheckMessage]:
    if safe or django_settings.SESSION_ENGINE != _ENGINE:
        return []
    return [Warning(problem, hint=hint, id=f"securecore.{id}")]


def w203_cookie_name(**_: Any) -> list[CheckMessage]:
    """ASVS 5.0 v5.0.0-3.3.3."""
    return _weaker(
        id="W203",
        safe=django_settings.SESSION_COOKIE_NAME.startswith("__Host-"),
        problem="Another host of the domain, or a page over plain HTTP, could plant a session cookie.",
        hint="Set SESSION_COOKIE_NAME = '__Host-sessionid'.",
    )


def w204_cookie_secure(**_: Any) -> list[CheckMessage]:
    """ASVS 5.0 v5.0.0-3.3.1."""
    return _weaker(
        id="W204",
        safe=bool(django_settings.SESSION_COOKIE_SECURE),
        problem="The session cookie would be sent over plain HTTP, where anybody can read it.",
        hint="Set SESSION_COOKIE_SECURE = True.",
    )


def w205_cookie_httponly(**_: Any) -> list[CheckMessage]:
    """ASVS 5.0 v5.0.0-3.3.4."""
    return _weaker(
        id="W205",
        safe=bool(django_settings.SESSION_COOKIE_HTTPONLY),
        problem="A script in a page can read the session cookie.",
        hint="Set SESSION_COOKIE_HTTPONLY = True.",
    )


def w206_cookie_samesite(**_: Any) -> list[CheckMessage]:
    """ASVS 5.0 v5.0.0-3.3.2."""
    return _weaker(
        id="W206",
        safe=django_settings.SESSION_COOKIE_SAMESITE in ("Lax", "Strict"),
        problem="The session cookie would be sent with requests that other sites make.",
        hint="Set SESSION_COOKIE_SAMESITE = 'Lax' or 'Strict'.",
    )


def e207_cookie_scope(**_: Any) -> list[CheckMessage]:
    """Report a __Host- cookie that browsers drop (RFC 6265bis section 4.1.3.2): every login would be lost."""
    cookie = django_settings
    named = cookie.SESSION_ENGINE == _ENGINE and cookie.SESSION_COOKIE_NAME.startswith("__Host-")
    if not named or (cookie.SESSION_COOKIE_DOMAIN is None and cookie.SESSION_COOKIE_PATH == "/"):
        return []
    return [
        Error(
            "Browsers refuse a __Host- cookie that has a domain, or another path than /.",
            hint="Set SESSION_COOKIE_DOMAIN = None and SESSION_COOKIE_PATH = '/'.",
            id="securecore.E207",
        )
    ]


def w208_timeouts(**_: Any) -> list[CheckMessage]:
    """NIST SP 800-63B-4 section 2.2.3 (AAL2), ASVS 5.0 v5.0.0-7.1.1."""
    return _weaker(
        id="W208",
        safe=settings.SESSION_IDLE_TIMEOUT <= 3_600 and settings.SESSION_ABSOLUTE_TIMEOUT <= 86_400,
        problem="Sessions live longer than NIST SP 800-63B-4 allows at AAL2: an hour idle, a day in all.",
        hint="Lower SECURECORE['SESSION_IDLE_TIMEOUT'] and ['SESSION_ABSOLUTE_TIMEOUT'], or say why and silence this.",
    )


def w209_save_every_request(**_: Any) -> list[CheckMessage]:
    return _weaker(
        id="W209",
        safe=not django_settings.SESSION_SAVE_EVERY_REQUEST,
        problem="Every request writes its session and sends the cookie again.",
        hint="Set SESSION_SAVE_EVERY_REQUEST = False: securecore extends a session in use without it.",
    )


def w210_sessions_of_django(**_: Any) -> list[CheckMessage]:
    """Report Django's own sessions. E201 reports a middleware without its engine, and an engine without it."""
    if _ENGINE == django_settings.SESSION_ENGINE or _DJANGO_S not in django_settings.MIDDLEWARE:
        return []
    return [
        Warning(
            "A stolen session cookie is good under every certificate: these are Django's own sessions.",
            hint=f"Set SESSION_ENGINE = {_ENGINE!r} and put {SESSION!r} into MIDDLEWARE in place of {_DJANGO_S!r}. "
            "Without sessions, remove the middleware.",
            id="securecore.W210",
        )
    ]


def e211_user_without_session(**_: Any) -> list[CheckMessage]:
    """Report an ``AuthenticationMiddleware`` that finds no session: it raises ``ImproperlyConfigured`` each time."""
    session, user = middleware.position(DjangoSessionMiddleware), middleware.position(AuthenticationMiddleware)
    if user is None or (session is not None and session < user):
        return []
    named = django_settings.MIDDLEWARE[user]
    return [
        Error(
            f"Every request is a 500: no session middleware stands before {named!r} in MIDDLEWARE.",
            hint=f"Put {SESSION!r} between {CERTIFICATE!r} and {named!r}, and set SESSION_ENGINE = {_ENGINE!r}.",
            id="securecore.E211",
        )
    ]


CHECKS = (
    e201_session_middleware,
    e202_session_after_certificate,
    w203_cookie_name,
    w204_cookie_secure,
    w205_cookie_httponly,
    w206_cookie_samesite,
    e207_cookie_scope,
    w208_timeouts,
    w209_save_every_request,
    w210_sessions_of_django,
    e211_user_without_session,
)

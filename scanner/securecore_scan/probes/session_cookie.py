"""Attributes and name of the session cookie."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from http.cookies import Morsel

from securecore_scan.checks import Check, Severity
from securecore_scan.client import sessions
from securecore_scan.client.target import Target
from securecore_scan.outcomes import Inconclusive, Outcome, outcome_of


def attributes(target: Target) -> Iterator[Outcome]:
    """Read the cookie of a login. Fails without HttpOnly, SameSite=Lax or Strict and, over TLS, Secure."""
    morsel = target.once(_morsel)
    wanted = {
        "HttpOnly": bool(morsel["httponly"]),
        "SameSite": str(morsel["samesite"]).lower() in ("lax", "strict"),
        "Secure": bool(morsel["secure"]) or not target.transport.is_tls,
    }
    missing = sorted(name for name, is_set in wanted.items() if not is_set)
    yield outcome_of(bool(missing), sessions.login_route(target), f"missing: {', '.join(missing) or 'nothing'}")


def host_prefix(target: Target) -> Iterator[Outcome]:
    """Read the cookie's name. Fails without __Host-, with which no other host and no plain connection can set it."""
    morsel = target.once(_morsel)
    has_prefix = morsel.key.startswith("__Host-")
    seen = f"{morsel.key} {'has' if has_prefix else 'lacks'} the prefix"
    yield outcome_of(not has_prefix, sessions.login_route(target), seen)


def _morsel(target: Target) -> Morsel[str]:
    answer = sessions.send_login(target)
    sessions.session_cookie(target, answer)  # redacts the session id in reports
    morsel = sessions.session_morsel(target, answer)
    if morsel is None:
        raise Inconclusive("a login set no session cookie")
    return morsel


_check = partial(Check, category="session-fixation", owasp="API8:2023")
CHECKS = (
    _check(
        "SC-COOKIE-1",
        "Attributes of the session cookie",
        severity=Severity.MEDIUM,
        cwe=(1004, 1275, 614),
        asvs=("3.3.1", "3.3.2", "3.3.4"),
        risk="A script can read the session id, or another site can make the browser send it.",
        remedy="Set Secure, HttpOnly and SameSite=Lax or Strict.",
        securecore="SESSION_COOKIE_SECURE, _HTTPONLY, _SAMESITE; checks W204 to W206",
        run=attributes,
    ),
    _check(
        "SC-COOKIE-2",
        "Name of the session cookie",
        severity=Severity.LOW,
        cwe=(384,),
        asvs=("3.3.3",),
        risk="A neighbouring host, or a plain http connection, can plant a cookie.",
        remedy="Name the cookie __Host-..., with Path=/ and no Domain.",
        securecore='SESSION_COOKIE_NAME = "__Host-sessionid"; check W203',
        run=host_prefix,
    ),
)

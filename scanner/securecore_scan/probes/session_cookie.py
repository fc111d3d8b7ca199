"""How a browser is told to keep the session's id."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from http.cookies import Morsel

from securecore_scan.client import sessions
from securecore_scan.client.target import Target
from securecore_scan.verdict import Check, NotJudged, Seen, Severity, judged


def attributes(target: Target) -> Iterator[Seen]:
    """Read the cookie of a login: Secure where there is TLS, HttpOnly, and SameSite as Lax or Strict."""
    morsel = target.once(_morsel)
    wanted = {
        "HttpOnly": bool(morsel["httponly"]),
        "SameSite": str(morsel["samesite"]).lower() in ("lax", "strict"),
        "Secure": bool(morsel["secure"]) or not target.wire.is_tls,
    }
    missing = sorted(name for name, is_there in wanted.items() if not is_there)
    yield judged(bool(missing), sessions.subject(target), f"missing: {', '.join(missing) or 'nothing'}")


def host_prefix(target: Target) -> Iterator[Seen]:
    """Read the cookie's name: with __Host- no other host and no plain connection can set it."""
    morsel = target.once(_morsel)
    is_there = morsel.key.startswith("__Host-")
    yield judged(not is_there, sessions.subject(target), f"{morsel.key} {'has' if is_there else 'lacks'} the prefix")


def _morsel(target: Target) -> Morsel[str]:
    answer = sessions.log_in_answer(target)
    sessions.set_cookie(target, answer)
    morsel = sessions.session_morsel(target, answer)
    if morsel is None:
        raise NotJudged("a login set no session cookie")
    return morsel


_check = partial(Check, category="session-fixation", owasp="API8:2023")
CHECKS = (
    _check(
        "SC-COOKIE-1",
        "The session cookie's attributes",
        severity=Severity.MEDIUM,
        cwe=(1004, 1275, 614),
        asvs=("3.3.1", "3.3.2", "3.3.4"),
        risk="A script reads the id, or another site sends it.",
        remedy="Set Secure, HttpOnly and SameSite=Lax or Strict.",
        securecore="SESSION_COOKIE_SECURE, _HTTPONLY, _SAMESITE; checks W204 to W206",
        run=attributes,
    ),
    _check(
        "SC-COOKIE-2",
        "The session cookie's name",
        severity=Severity.LOW,
        cwe=(384,),
        asvs=("3.3.3",),
        risk="A neighbouring host, or plain http, plants a cookie.",
        remedy="Name it __Host-..., with Path=/ and no Domain.",
        securecore='SESSION_COOKIE_NAME = "__Host-sessionid"; check W203',
        run=host_prefix,
    ),
)

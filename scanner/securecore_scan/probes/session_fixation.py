"""Session ids that an attacker plants before the owner's login.

The attacker is an honest user with a certificate of his own. He plants a session id, waits for the owner's login, and
tests whether the planted id opens the owner's session.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from functools import partial

import httpx

from securecore_scan.checks import Check, Severity
from securecore_scan.client import sessions
from securecore_scan.client.request import Request
from securecore_scan.client.sessions import SessionCookie
from securecore_scan.client.target import Target
from securecore_scan.outcomes import Outcome, outcome_of

#: Names of session ids in URLs and headers, as common frameworks use them.
PARAMETERS = ("sessionid", "session_id", "session", "sid", "PHPSESSID", "JSESSIONID")
HEADERS = ("X-Session-Id", "X-SessionId", "Session-Id", "X-Session", "X-Session-Token", "X-Auth-Session")


def planted_by_cookie(target: Target) -> Iterator[Outcome]:
    """Log in with a cookie of the attacker's choice: an id that the service gave him, and an invented id.

    Works if the planted id opens the session, or if the id is the same after the login.
    """
    seen, worked = [], False
    for origin, planted in _planted(target).items():
        opened = sessions.log_in(target, cookie=planted)
        kept, live = opened.value == planted.value, sessions.is_live(target, planted)
        worked = worked or kept or live
        seen.append(f"{origin}: {'kept' if kept else 'replaced'} at login, {'live' if live else 'dead'} afterwards")
    yield outcome_of(worked, sessions.login_route(target), *seen)


def planted_by_query(target: Target) -> Iterator[Outcome]:
    """Log in with the planted id in the URL. Then send the owner's id in the URL of another request.

    Works if the planted id is live after the login, or if the id in the URL opens the owner's session.
    """
    seen, worked = [], False
    names = sorted({*PARAMETERS, sessions.log_in(target).name})
    for origin, planted in _planted(target).items():
        live = _opens_session(target, planted, sessions.send_login(target, query=_query(names, planted)))
        worked = worked or live
        seen.append(f"{origin} in the URL of the login: {'live' if live else 'dead'} afterwards")
    owners = sessions.log_in(target)
    live = sessions.is_live(target, SessionCookie("none", "none"), query=_query(names, owners))
    seen.append(f"the owner's id in the URL of another request: {'opens her session' if live else 'opens no session'}")
    yield outcome_of(worked or live, sessions.login_route(target), *seen)


def planted_by_header(target: Target) -> Iterator[Outcome]:
    """Log in with the planted id in headers of common names. Works if the planted id is live after the login."""
    seen, worked = [], False
    for origin, planted in _planted(target).items():
        answer = sessions.send_login(target, headers=dict.fromkeys(HEADERS, planted.value))
        live = _opens_session(target, planted, answer)
        worked = worked or live
        seen.append(f"{origin} in a header of the login: {'live' if live else 'dead'} afterwards")
    yield outcome_of(worked, sessions.login_route(target), *seen)


def _opens_session(target: Target, planted: SessionCookie, login: httpx.Response) -> bool:
    opened = sessions.session_cookie(target, login)
    return sessions.is_live(target, planted) or (opened is not None and opened.value == planted.value)


def _query(names: list[str], cookie: SessionCookie) -> str:
    return "&".join(f"{name}={cookie.value}" for name in names)


def _planted(target: Target) -> dict[str, SessionCookie]:
    """Return the ids that an attacker can plant: an invented one, and one that the service gave him before login."""
    name = target.once(_cookie_name)
    invented = target.redactor.add(secrets.token_urlsafe(32), "planted id")
    planted = {"an invented id": SessionCookie(name, invented)}
    attacker = "second" if target.transport.has("second") else "owner"
    answer = target.transport.send(Request("GET", target.plan.session.anonymous), attacker)
    given = sessions.session_cookie(target, answer)
    if given is not None:
        planted["an id that the service gave"] = given
    return planted


def _cookie_name(target: Target) -> str:
    return sessions.log_in(target).name


_check = partial(
    Check,
    category="session-fixation",
    severity=Severity.HIGH,
    owasp="API2:2023",
    cwe=(384,),
    asvs=("7.2.4", "3.3.4"),
    remedy="Take session ids from the cookie only, and only ids that the server issued.",
    securecore='SESSION_ENGINE = "securecore.sessions" with securecore.http.middleware.SessionMiddleware',
)
CHECKS = (
    _check(
        "SC-FIX-1",
        "Session id planted by cookie",
        risk="An attacker who plants an id before the login shares the session that the login opens.",
        asvs=("7.2.4",),
        remedy="Issue a new session id at every login, also for the same user, and end the old session.",
        run=planted_by_cookie,
    ),
    _check(
        "SC-FIX-2",
        "Session id in the URL",
        risk="An attacker can send a link with an id of his choice, and every log on the way stores the id.",
        cwe=(384, 598),
        run=planted_by_query,
    ),
    _check(
        "SC-FIX-3",
        "Session id in a header",
        risk="A page that may set a header plants an id without a cookie.",
        run=planted_by_header,
    ),
)

"""A session id that somebody else knows.

The attacker is an honest user with a certificate of his own. He plants an id, waits for the owner's login, and looks
whether the id opens her session: for him, or for her.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from functools import partial

from securecore_scan.client import sessions
from securecore_scan.client.sessions import Cookie
from securecore_scan.client.target import Target, described, granted
from securecore_scan.client.wire import Request
from securecore_scan.verdict import Check, NotJudged, Seen, Severity, Skipped, judged

#: As frameworks of many languages call them.
PARAMETERS = ("sessionid", "session_id", "session", "sid", "PHPSESSID", "JSESSIONID")
HEADERS = ("X-Session-Id", "X-SessionId", "Session-Id", "X-Session", "X-Session-Token", "X-Auth-Session")


def by_cookie(target: Target) -> Iterator[Seen]:
    """Log in with a cookie that the attacker chose: one that the service gave him, or one made up. Works if it opens
    the session, or if the id is the same after the login.
    """
    seen, worked = [], False
    for how, planted in _planted(target).items():
        opened = sessions.log_in(target, cookie=planted)
        kept, live = opened.value == planted.value, sessions.is_live(target, planted)
        worked = worked or kept or live
        seen.append(f"{how}: {'kept' if kept else 'replaced'} at login, {'live' if live else 'dead'} afterwards")
    yield judged(worked, sessions.subject(target), *seen)


def by_query(target: Target) -> Iterator[Seen]:
    """Log in with the id in the URL, by the usual names; and open the owner's session by her id in a URL."""
    seen, worked = [], False
    names = {*PARAMETERS, sessions.log_in(target).name}
    for how, planted in _planted(target).items():
        query = "&".join(f"{name}={planted.value}" for name in sorted(names))
        opened = sessions.set_cookie(target, sessions.log_in_answer(target, query=query))
        live = sessions.is_live(target, planted) or (opened is not None and opened.value == planted.value)
        worked = worked or live
        seen.append(f"{how} in the URL of the login: {'live' if live else 'dead'} afterwards")
    hers = sessions.log_in(target)
    live = sessions.is_live(target, Cookie("none", "none"), query="&".join(f"{n}={hers.value}" for n in sorted(names)))
    seen.append(f"her id in the URL of another request: {'opens her session' if live else 'opens nothing'}")
    yield judged(worked or live, sessions.subject(target), *seen)


def by_header(target: Target) -> Iterator[Seen]:
    """The same with the id in headers of the usual names."""
    seen, worked = [], False
    for how, planted in _planted(target).items():
        opened = sessions.set_cookie(
            target, sessions.log_in_answer(target, headers=dict.fromkeys(HEADERS, planted.value))
        )
        live = sessions.is_live(target, planted) or (opened is not None and opened.value == planted.value)
        worked = worked or live
        seen.append(f"{how} in a header of the login: {'live' if live else 'dead'} afterwards")
    yield judged(worked, sessions.subject(target), *seen)


def at_relogin(target: Target) -> Iterator[Seen]:
    """Log in, log in again as the same user. Works if the id stays, or the old one lives beside the new one.

    An old id that dies at the login after is an overlap for requests on their way, and is told as such.
    """
    first = sessions.log_in(target)
    second = sessions.log_in(target, cookie=first)
    overlap = second != first and sessions.is_live(target, first)
    third = sessions.log_in(target, cookie=second) if overlap else second
    survived = first in (second, third) or sessions.is_live(target, first)
    said = "is the same" if second == first else "changed"
    last = "is live" if survived else "is dead after one more login" if overlap else "is dead"
    yield judged(survived, sessions.subject(target), f"after a second login the id {said}, and the old one {last}")


def at_privilege_change(target: Target) -> Iterator[Seen]:
    """Change what the owner may do while she has a session. Works if her id is still the same at the next request."""
    change = target.plan.privileges
    if change is None:
        raise Skipped("the plan names no change of privileges: [privileges]")
    before = sessions.log_in(target)
    granted(target.call(change.change, change.by))
    try:
        answer = sessions.seen_with(target, before.header, "owner")
        after = sessions.set_cookie(target, answer)
    finally:
        if change.restore is not None:
            with target.wire.budget.tidying():
                granted(target.call(change.restore, change.by))
    changed = after is not None and after.value != before.value
    yield judged(
        not changed, str(change.change), f"the id {'changed' if changed else 'is the same'} at the next request"
    )


def after_logout(target: Target) -> Iterator[Seen]:
    """Use an id after its logout. Works if it opens the session."""
    cookie = sessions.log_in(target)
    sessions.log_out(target, cookie)
    live = sessions.is_live(target, cookie)
    yield judged(live, str(target.plan.session.logout), f"after the logout the id {'is live' if live else 'is dead'}")


def under_another_certificate(target: Target) -> Iterator[Seen]:
    """Use the owner's id on somebody else's connection. Works if it opens a session, or makes him her."""
    if not target.wire.is_tls:
        raise Skipped("plain http has no certificates")
    cookie = sessions.log_in(target)
    answer = sessions.seen_with(target, cookie.header, "second")
    live = sessions.is_live(target, cookie, "second")
    is_her = answer.is_success and sessions.user_of(target, answer) == sessions.user_with(target, cookie.header)
    if not sessions.is_live(target, cookie):
        raise NotJudged("the session ended meanwhile")
    yield judged(
        live or is_her,
        sessions.subject(target),
        f"her id under another certificate: {described(answer)}, {'a session' if live else 'no session'}"
        f"{', taken for her' if is_her else ''}",
    )


def _planted(target: Target) -> dict[str, Cookie]:
    """Return the ids an attacker may have: what the service gives to everybody, and what looks like it."""
    name = target.once(_cookie_name)
    made_up = target.secrets.add(secrets.token_urlsafe(32), "planted id")
    planted = {"an id made up": Cookie(name, made_up)}
    attacker = "second" if target.wire.has("second") else "owner"
    given = sessions.set_cookie(target, target.wire.send(Request("GET", target.plan.session.anonymous), attacker))
    if given is not None:
        planted["an id that the service gave"] = given
    return planted


def _cookie_name(target: Target) -> str:
    return sessions.log_in(target).name


_NEW = (
    "Give the session a new id at every login, also of the same user, and at each change of privileges; end "
    "the old one."
)
_USE = 'SESSION_ENGINE = "securecore.sessions" with securecore.http.middleware.SessionMiddleware'

_check = partial(
    Check,
    category="session-fixation",
    severity=Severity.HIGH,
    owasp="API2:2023",
    cwe=(384,),
    asvs=("7.2.4",),
    remedy=_NEW,
    securecore=_USE,
)
_ONLY_COOKIE = "Take session ids from the cookie only, and only those that the server issued."
CHECKS = (
    _check(
        "SC-FIX-1",
        "An id planted by cookie",
        risk="Whoever plants an id before the login is logged in with her.",
        run=by_cookie,
    ),
    _check(
        "SC-FIX-2",
        "An id in the URL",
        risk="An id in a link is an id that somebody else can send, and that every log keeps.",
        asvs=("7.2.4", "3.3.4"),
        cwe=(384, 598),
        remedy=_ONLY_COOKIE,
        run=by_query,
    ),
    _check(
        "SC-FIX-3",
        "An id in a header",
        risk="A page that may set a header plants an id without a cookie.",
        asvs=("7.2.4", "3.3.4"),
        remedy=_ONLY_COOKIE,
        run=by_header,
    ),
    _check("SC-FIX-4", "An id after a second login", risk="Whoever had the old id goes on with it.", run=at_relogin),
    _check(
        "SC-FIX-5",
        "An id after a change of privileges",
        severity=Severity.MEDIUM,
        risk="An id that somebody learned before is worth more now.",
        run=at_privilege_change,
    ),
    _check(
        "SC-FIX-6",
        "An id after its logout",
        cwe=(613,),
        asvs=("7.4.1",),
        risk="The browser forgets its cookie; whoever kept a copy is still logged in.",
        remedy="End the session on the server at logout.",
        run=after_logout,
    ),
    _check(
        "SC-FIX-7",
        "An id under another certificate",
        cwe=(384, 294),
        risk="A stolen cookie is enough, whatever certificate the thief has.",
        remedy="Note the certificate at the login, and compare it at every request.",
        run=under_another_certificate,
    ),
)

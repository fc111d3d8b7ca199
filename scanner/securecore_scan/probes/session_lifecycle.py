"""Session ids after a second login, a change of privileges, a logout, and under another certificate."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from securecore_scan.checks import Check, Severity
from securecore_scan.client import sessions
from securecore_scan.client.responses import require_success, status_text
from securecore_scan.client.target import Target
from securecore_scan.outcomes import Inconclusive, Outcome, Skipped, outcome_of


def after_second_login(target: Target) -> Iterator[Outcome]:
    """Log in twice as the same user. Works if the id stays the same, or if the old id lives beside the new one.

    A service may keep the old id alive for requests in progress. If a third login ends it, the attack does not work.
    """
    first = sessions.log_in(target)
    second = sessions.log_in(target, cookie=first)
    overlap = second != first and sessions.is_live(target, first)
    third = sessions.log_in(target, cookie=second) if overlap else second
    survived = first in (second, third) or sessions.is_live(target, first)
    change = "is the same" if second == first else "changed"
    old = "is live" if survived else "is dead after one more login" if overlap else "is dead"
    yield outcome_of(survived, sessions.login_route(target), f"after a second login the id {change}, the old id {old}")


def after_privilege_change(target: Target) -> Iterator[Outcome]:
    """Change the owner's permissions while she has a session. Works if her next request keeps the same id."""
    sessions.login_route(target)
    change = target.plan.privileges
    if change is None:
        raise Skipped("the plan names no change of privileges: [privileges]")
    before = sessions.log_in(target)
    require_success(target.call(change.change, change.by))
    try:
        after = sessions.session_cookie(target, sessions.send_whoami(target, before.header, "owner"))
    finally:
        if change.restore is not None:
            with target.transport.budget.restoring():
                require_success(target.call(change.restore, change.by))
    changed = after is not None and after.value != before.value
    yield outcome_of(
        not changed, str(change.change), f"the id {'changed' if changed else 'is the same'} at the next request"
    )


def after_logout(target: Target) -> Iterator[Outcome]:
    """Use a session id after its logout. Works if the id opens the session."""
    cookie = sessions.log_in(target)
    sessions.log_out(target, cookie)
    live = sessions.is_live(target, cookie)
    route = str(target.plan.session.logout)
    yield outcome_of(live, route, f"after the logout the id {'is live' if live else 'is dead'}")


def under_another_certificate(target: Target) -> Iterator[Outcome]:
    """Use the owner's session id on the attacker's connection.

    Works if the id opens a session, or if the service names the owner as the caller.
    """
    target.transport.require_certificates()
    cookie = sessions.log_in(target)
    answer = sessions.send_whoami(target, cookie.header, "second")
    live = sessions.is_live(target, cookie, "second")
    is_owner = answer.is_success and sessions.user_in(target, answer) == sessions.user_name(target, cookie.header)
    if not sessions.is_live(target, cookie):
        raise Inconclusive("the session ended meanwhile")
    yield outcome_of(
        live or is_owner,
        sessions.login_route(target),
        f"the owner's id under another certificate: {status_text(answer)}, {'a session' if live else 'no session'}"
        f"{', named as the owner' if is_owner else ''}",
    )


_check = partial(
    Check,
    category="session-fixation",
    severity=Severity.HIGH,
    owasp="API2:2023",
    cwe=(384,),
    asvs=("7.2.4",),
    remedy="Issue a new session id at every login, also for the same user, and at each change of privileges; end the "
    "old session.",
    securecore='SESSION_ENGINE = "securecore.sessions" with securecore.http.middleware.SessionMiddleware',
)
CHECKS = (
    _check(
        "SC-FIX-4",
        "Session id after a second login",
        risk="An attacker who knows the old id keeps using the session.",
        run=after_second_login,
    ),
    _check(
        "SC-FIX-5",
        "Session id after a change of privileges",
        severity=Severity.MEDIUM,
        risk="A session id that was stolen before the change gains the new privileges.",
        run=after_privilege_change,
    ),
    _check(
        "SC-FIX-6",
        "Session id after its logout",
        cwe=(613,),
        asvs=("7.4.1",),
        risk="The browser deletes its cookie, but a copy of the cookie is still logged in.",
        remedy="End the session on the server at logout.",
        run=after_logout,
    ),
    _check(
        "SC-FIX-7",
        "Session id under another certificate",
        cwe=(384, 294),
        risk="A stolen cookie is enough: the thief uses it with a certificate of his own.",
        remedy="Store the certificate's thumbprint at login, and compare it at every request.",
        run=under_another_certificate,
    ),
)

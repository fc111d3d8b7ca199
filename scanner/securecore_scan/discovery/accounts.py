"""Registers canary accounts, logs in, and finds the route that demands the token.

With certificates, without an account in the plan and without an open registration, nothing here sends a request: the
certificates name the callers. Every account and password is made for this scan.
"""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Iterator

import httpx

from securecore_scan.client import sessions, tokens
from securecore_scan.client.operations import Operation
from securecore_scan.client.request import Request, build
from securecore_scan.client.responses import is_refused, json_or_none
from securecore_scan.client.target import Target
from securecore_scan.discovery import bodies
from securecore_scan.outcomes import Inconclusive, Skipped
from securecore_scan.plan import Account, Call, Plan

_REGISTER = {"register", "registration", "signup", "sign", "users", "accounts", "user"}
_LOGIN = {"login", "signin", "sign", "token", "auth", "session", "sessions", "jwt", "authenticate", "create"}
_NOT_LOGIN = {"register", "registration", "signup", "refresh", "verify", "revoke", "blacklist", "logout", "reset"}
_SCHEMES = ("Bearer", "Token", "JWT")
_CALLER = ("whoami", "me", "userinfo", "profile", "current", "user", "account")
#: Words of GET routes that may act in spite of HTTP: a training API recreates its database by GET /createdb.
ACTING = (
    "create",
    "delete",
    "remove",
    "reset",
    "drop",
    "init",
    "purge",
    "logout",
    "seed",
    "shutdown",
    "restart",
    "flush",
)
#: Logins with one account at most: a service may lock it after some.
_ATTEMPTS = 8
_CANDIDATES = 12


def complete(target: Target, *, is_planned: bool) -> Plan:
    """Return the plan with login, token request and protected route, or as it was if no login works.

    ``is_planned`` says that the plan's author named the token request, which needs no account then.
    """
    plan = target.plan
    is_open = plan.registration is not None or next(_registrations(target), None) is not None
    needs_none = target.transport.has_certificates and target.account("owner") is None and not is_open
    if needs_none or (is_planned and target.account("owner") is None and plan.registration is None):
        return plan
    if target.account("owner") is None and not target.transport.is_read_only:
        plan = target.plan = _register(target)
    if target.account("owner") is None:
        return _without_login(target, "asks for a password: name accounts by --login and --second-login")
    login = _logged_in(target)
    if login is None:
        return _without_login(target, f"did not let {target.name('owner')} in")
    target.routes["login"] = str(login)
    answer = send_login(target, login, "owner")
    opens_session = sessions.session_cookie(target, answer) is not None
    session = dataclasses.replace(plan.session, login=login if opens_session else None)
    target.plan = plan = dataclasses.replace(plan, session=session)
    if tokens.token_in(answer) is None:
        return plan
    revoke = plan.tokens.revoke
    if revoke is not None and "Authorization" in login.headers and not revoke.headers:
        revoke = dataclasses.replace(revoke, headers=login.headers)
    known = dataclasses.replace(plan.tokens, request=login, family=None, revoke=revoke)
    target.plan = dataclasses.replace(plan, tokens=known)
    return _with_protected_route(target)


def _without_login(target: Target, problem: str) -> Plan:
    """Return the plan as it is, and say why the likeliest login did not open."""
    login = next(_logins(target), None)
    if login is not None:
        if target.transport.is_read_only:
            problem = "needs a POST, and --read-only sends none"
        target.login_problem = f"{login} {problem}"
        target.announce(f"found a login: {target.login_problem}")
    return target.plan


def _register(target: Target) -> Plan:
    """Open an account for ``owner`` and ``second``."""
    plan = target.plan
    described = plan.registration or next(_registrations(target), None)
    if described is None:
        return plan
    for role in ("owner", "second"):
        name = f"scan{secrets.token_hex(5)}"
        account = Account(name, f"Canary-{secrets.token_urlsafe(9)}-7", f"{name}@example.com")
        target.announce(f"opens the canary account {name} by {described}")
        target.registered[role] = account
        try:
            opened = target.transport.send(register(target, described, role), role).is_success
        except Skipped:  # only the other roles have a certificate
            opened = False
        if not opened:
            del target.registered[role]
            return plan
    target.routes["register"] = str(described)
    return dataclasses.replace(plan, registration=described)


def register(target: Target, call: Call, role: str) -> Request:
    """Return the request that opens the account of a role."""
    return build(call, target.values("anonymous", **target.account_values(role), authorization=""))


def _registrations(target: Target) -> Iterator[Call]:
    found = [
        one for one in target.operations if one.method == "POST" and not one.has_parameters and _asks_password(one)
    ]
    for one in sorted(found, key=lambda one: not one.words & {"register", "registration", "signup"}):
        if one.words & _REGISTER and not one.words & {"login", "signin", "token", "reset", "change"}:
            yield bodies.call(one)


def _asks_password(operation: Operation) -> bool:
    return "{password}" in {bodies.credential(name) for name in operation.properties}


def _logged_in(target: Target) -> Call | None:
    """Return the first login that gives a token or a session, or None."""
    for number, login in enumerate(_logins(target)):
        if number >= _ATTEMPTS:
            return None
        try:
            answer = send_login(target, login, "owner")
        except Skipped:
            return None
        if answer.is_success and (tokens.token_in(answer) or sessions.session_cookie(target, answer)):
            return login
    return None


def _logins(target: Target) -> Iterator[Call]:
    """Yield the login of the plan, those of the document, and those at common paths, the likeliest first."""
    plan = target.plan
    planned = [one for one in (plan.tokens.request, plan.session.login) if one is not None and _has_password(one)]
    yield from planned
    for one in target.operations:
        if one.method == "POST" and one.words & _LOGIN and not one.words & _NOT_LOGIN and _asks_password(one):
            yield bodies.call(one)
    for kind in ("token", "login"):
        if path := target.routes.get(kind):
            named = {"password": "{password}"}
            yield Call(path, json={"username": "{username}", **named})
            yield Call(path, form={"grant_type": "password", "username": "{username}", **named})
            yield Call(path, json={"email": "{email}", **named})
            basic = {"Authorization": "Basic {basic}"}
            yield Call(path, headers=basic, form={"grant_type": "client_credentials"})
            yield Call(path, headers=basic, json={})


def _has_password(call: Call) -> bool:
    return any(word in str(call) + repr(call) for word in ("{password}", "{basic}", "{env:"))


def send_login(target: Target, login: Call, role: str) -> httpx.Response:
    """Log in as a role, and return the response."""
    return target.transport.send(build(login, target.values(role, authorization="")), role)


def _with_protected_route(target: Target) -> Plan:
    """Return the plan with a GET that refuses requests without a token, and with the scheme that it accepts."""
    plan, pair = target.plan, tokens.request_tokens(target)
    target.authorizer = _authorization
    for path in _candidates(target):
        if not _refuses(target, path, {}):
            continue
        for scheme in dict.fromkeys((plan.tokens.scheme, *_SCHEMES)):
            if not _refuses(target, path, {"Authorization": f"{scheme} {pair.access}"}):
                target.routes["use"] = path
                used = dataclasses.replace(plan.tokens, use=path, scheme=scheme)
                named = _names_the_caller(target, path, scheme, pair.access)
                session = dataclasses.replace(plan.session, read=path, field=None) if named else plan.session
                target.plan = dataclasses.replace(plan, tokens=used, session=session)
                return target.plan
    return plan


def _candidates(target: Target) -> list[str]:
    known = [path for path in (target.plan.tokens.use, target.plan.session.read) if path]
    listed = [one for one in target.operations if one.method == "GET" and not one.has_parameters and not acts(one)]
    listed.sort(key=lambda one: (not one.words & set(_CALLER), not one.is_secured))
    return list(dict.fromkeys([*known, *(one.path for one in listed)]))[:_CANDIDATES]


def acts(operation: Operation) -> bool:
    """Say whether a path sounds as if a GET might change something."""
    return any(word.startswith(ACTING) for word in operation.words)


def _refuses(target: Target, path: str, headers: dict[str, str]) -> bool:
    try:
        answer = target.get(path, "owner", headers)
        return is_refused(answer) if headers else answer.status_code in (401, 403)
    except (Inconclusive, httpx.HTTPError):
        return bool(headers)


def _names_the_caller(target: Target, path: str, scheme: str, access: str) -> bool:
    answer = target.get(path, "owner", {"Authorization": f"{scheme} {access}"})
    return isinstance(json_or_none(answer), dict) and sessions.user_in(target, answer) is not None


def _authorization(target: Target, role: str) -> str:
    return tokens.request_tokens(target, role).header["Authorization"]

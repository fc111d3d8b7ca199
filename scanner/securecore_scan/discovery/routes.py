"""Finds login, token and other routes in the OpenAPI document, or at the paths that common packages use.

Sends GET for the route that names the caller, and OPTIONS for the rest.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable
from typing import Any

from securecore_scan.client.operations import Operation
from securecore_scan.client.request import Request
from securecore_scan.client.responses import json_field, json_or_none
from securecore_scan.client.target import Target
from securecore_scan.discovery import bodies
from securecore_scan.plan import Call, Plan

#: Paths of simplejwt, allauth, django-oauth-toolkit, knox, Djoser, Keycloak, Spring and FastAPI, and usual others.
_COMMON = {
    "login": (
        "/auth/login",
        "/api/auth/login",
        "/login",
        "/api/login",
        "/accounts/login",
        "/session",
        "/_allauth/app/v1/auth/login",
        "/auth/jwt/create",
        "/auth/token/login",
        "/auth/jwt/login",
    ),
    "logout": (
        "/auth/logout",
        "/api/auth/logout",
        "/logout",
        "/api/logout",
        "/accounts/logout",
        "/auth/token/logout",
        "/auth/jwt/logout",
    ),
    "token": (
        "/oauth/token",
        "/o/token",
        "/api/token",
        "/auth/token",
        "/token",
        "/api/auth/token",
        "/oauth2/token",
        "/protocol/openid-connect/token",
        "/realms/master/protocol/openid-connect/token",
        "/api-token-auth",
    ),
    "refresh": ("/api/token/refresh", "/auth/token/refresh", "/token/refresh", "/auth/refresh", "/auth/jwt/refresh"),
    "revoke": ("/oauth/revoke", "/o/revoke_token", "/api/token/blacklist", "/auth/token/revoke", "/oauth2/revoke"),
    "jwks": ("/oauth/jwks", "/.well-known/jwks.json", "/o/.well-known/jwks.json", "/oauth2/jwks"),
    "read": (
        "/api/whoami",
        "/whoami",
        "/api/me",
        "/me",
        "/userinfo",
        "/oauth/userinfo",
        "/o/userinfo",
        "/users/me",
        "/api/user",
        "/profile",
    ),
    "use": ("/api/reports", "/api/protected", "/protected"),
}
_UNSAFE = ("POST", "PUT", "PATCH", "DELETE")
_CERTIFICATE_GRANT = "urn:securecore:grant-type:certificate"
#: The words of a path in a document by which a route is known if it is at no common path.
_WORDS = {"logout": {"logout", "signout"}, "refresh": {"refresh"}, "revoke": {"revoke", "blacklist"}}


def complete(target: Target) -> Plan:
    """Return the plan with the routes that were found."""
    unsafe = [one for one in target.operations if one.method in _UNSAFE]
    target.routes.update({f"unsafe: {one.method} {one.path}": "" for one in unsafe})
    found = {kind: _find(target, kind, common) for kind, common in _COMMON.items()}
    # The route that names the caller usually demands a token. tokens.working_pair verifies that before any attack.
    found["use"] = found["use"] or found["read"]
    target.routes.update({kind: path for kind, path in found.items() if path})
    plan = target.plan
    login, logout = (_post(target, found[kind]) for kind in ("login", "logout"))
    session = _complete(plan.session, login=login, logout=logout, read=found["read"])
    if session.read is not None and session.field is None and session.login is not None:
        session = dataclasses.replace(session, field=_session_field(target, session.read))
    return dataclasses.replace(plan, session=session, tokens=_tokens(target, plan, found))


def operation_at(target: Target, path: str, method: str = "POST") -> Operation | None:
    """Return the operation of the document at ``path``, or None."""
    return next((one for one in target.operations if (one.method, one.path) == (method, path)), None)


def exists(target: Target, path: str) -> bool:
    """Say whether the service has something at ``path``, by OPTIONS."""
    answer = target.transport.send(Request("OPTIONS", path))
    return answer.status_code not in (404, 410) and not answer.is_redirect and answer.status_code < 500


def _tokens(target: Target, plan: Plan, found: dict[str, str | None]) -> Any:
    token, refresh, revoke = found["token"], found["refresh"], found["revoke"]
    is_oauth = token is not None and "/o" in token and refresh is None
    guesses: dict[str, Any] = {"use": found["use"], "jwks": found["jwks"]}
    if token and is_oauth:
        guesses["request"] = Call(token, form={"grant_type": "client_credentials", "client_id": "{name}"})
        guesses["family"] = Call(token, form={"grant_type": _CERTIFICATE_GRANT})
        guesses["refresh"] = Call(token, form={"grant_type": "refresh_token", "refresh_token": "{refresh}"})
    if refresh:
        described = operation_at(target, refresh)
        known = described is not None and described.properties
        guesses["refresh"] = bodies.call(described) if described and known else Call(refresh, json=_REFRESH)
    if revoke:
        by_json = revoke.rstrip("/").endswith("blacklist")
        guesses["revoke"] = Call(revoke, json=_REFRESH) if by_json else Call(revoke, form={"token": "{token}"})
    return _complete(plan.tokens, **guesses)


_REFRESH = {"refresh": "{refresh}"}


def _complete(known: Any, **guesses: Any) -> Any:
    missing = {name: value for name, value in guesses.items() if getattr(known, name) is None and value is not None}
    return dataclasses.replace(known, **missing)


def _post(target: Target, path: str | None) -> Call | None:
    if path is None:
        return None
    described = operation_at(target, path)
    return bodies.call(described) if described else Call(path, json={})


def _find(target: Target, kind: str, common: Iterable[str]) -> str | None:
    for candidate in common:
        for one in target.operations:
            if re.fullmatch(rf"(?:.*)?{re.escape(candidate)}/?", one.path):
                return one.path
    for one in target.operations:
        if one.method == "POST" and not one.has_parameters and one.words & _WORDS.get(kind, set()):
            return one.path
    # A document lists the routes of its service: two probes a kind find those that it leaves out.
    for candidate in common:
        for path in (candidate, f"{candidate}/"):
            if exists(target, path):
                return path
    return None


def _session_field(target: Target, path: str) -> str | None:
    """Return the boolean field that is true if the request has a session, or None if the response has none."""
    document = json_or_none(target.get(path))
    names = [name for name in ("session", "has_session", "logged_in") if isinstance(json_field(document, name), bool)]
    return names[0] if names else None

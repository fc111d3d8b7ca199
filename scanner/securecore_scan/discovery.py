"""Finds login, token and other routes in an OpenAPI document or at common paths.

Discovery has no side effects: it sends GET for documents and for the route that names the caller, and OPTIONS for the
rest.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from securecore_scan.client.request import Request
from securecore_scan.client.responses import json_field, json_or_none
from securecore_scan.client.target import Target
from securecore_scan.plan import Call, Plan, PlanError

_DOCUMENTS = ("/api/schema", "/openapi.json", "/api/openapi.json", "/schema", "/api/schema/", "/swagger.json")
_COMMON = {
    "login": ("/auth/login", "/api/auth/login", "/login", "/api/login", "/accounts/login", "/session"),
    "logout": ("/auth/logout", "/api/auth/logout", "/logout", "/api/logout", "/accounts/logout"),
    "token": ("/oauth/token", "/o/token", "/api/token", "/auth/token", "/token", "/api/auth/token"),
    "refresh": ("/api/token/refresh", "/auth/token/refresh", "/token/refresh", "/auth/refresh"),
    "revoke": ("/oauth/revoke", "/o/revoke_token", "/api/token/blacklist", "/auth/token/revoke"),
    "jwks": ("/oauth/jwks", "/.well-known/jwks.json", "/o/.well-known/jwks.json"),
    "read": ("/api/whoami", "/whoami", "/api/me", "/me", "/userinfo", "/oauth/userinfo", "/o/userinfo"),
    "use": ("/api/reports", "/api/protected", "/protected"),
}
_UNSAFE = ("post", "put", "patch", "delete")
_CERTIFICATE_GRANT = "urn:securecore:grant-type:certificate"


def complete(target: Target, openapi: str | None) -> Plan:
    """Return the plan with missing routes filled in, and list the routes that were found in ``target.routes``."""
    document = _document(target, openapi or target.plan.openapi)
    paths = _paths(target, document)
    target.routes.update(
        {
            f"unsafe: {method.upper()} {path}": ""
            for path, methods in paths.items()
            for method in methods
            if method in _UNSAFE
        }
    )
    found = {kind: _find(target, common, paths) for kind, common in _COMMON.items()}
    # The route that names the caller usually demands a token. tokens.working_pair verifies that before any attack.
    found["use"] = found["use"] or found["read"]
    target.routes.update({kind: path for kind, path in found.items() if path})
    plan = target.plan
    session = _complete(plan.session, login=_post(found["login"]), logout=_post(found["logout"]), read=found["read"])
    if session.read is not None and session.field is None and session.login is not None:
        session = dataclasses.replace(session, field=_session_field(target, session.read))
    return dataclasses.replace(plan, session=session, tokens=_tokens(plan, found))


def _tokens(plan: Plan, found: dict[str, str | None]) -> Any:
    token, refresh, revoke = found["token"], found["refresh"], found["revoke"]
    is_oauth = token is not None and "/o" in token and refresh is None
    guesses: dict[str, Any] = {"use": found["use"], "jwks": found["jwks"]}
    if token and is_oauth:
        guesses["request"] = Call(token, form={"grant_type": "client_credentials", "client_id": "{name}"})
        guesses["family"] = Call(token, form={"grant_type": _CERTIFICATE_GRANT})
        guesses["refresh"] = Call(token, form={"grant_type": "refresh_token", "refresh_token": "{refresh}"})
    if refresh:
        guesses["refresh"] = Call(refresh, json={"refresh": "{refresh}"})
    if revoke:
        by_json = revoke.endswith("blacklist")
        guesses["revoke"] = (
            Call(revoke, json={"refresh": "{refresh}"}) if by_json else Call(revoke, form={"token": "{token}"})
        )
    return _complete(plan.tokens, **guesses)


def _complete(known: Any, **guesses: Any) -> Any:
    missing = {name: value for name, value in guesses.items() if getattr(known, name) is None and value is not None}
    return dataclasses.replace(known, **missing)


def _post(path: str | None) -> Call | None:
    return Call(path, json={}) if path else None


def _document(target: Target, where: str | None) -> dict[str, Any]:
    """Return the OpenAPI document at ``where``: a URL, a path of the service or a file. Without ``where``, try common
    paths and return an empty document if none has one. Raises ``PlanError`` if ``where`` holds no OpenAPI document.
    """
    if where is None:
        return next(filter(None, (_fetched(target, path) for path in _DOCUMENTS)), {})
    if Path(where).is_file():
        try:
            found = json.loads(Path(where).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise PlanError(f"Cannot read the OpenAPI document {where}: {error}") from None
    else:
        found = _fetched(target, where) if where.startswith(("http://", "https://", "/")) else None
    if not isinstance(found, dict) or "paths" not in found:
        raise PlanError(f"No OpenAPI document in JSON at {where}.")
    return found


def _fetched(target: Target, path: str) -> dict[str, Any] | None:
    accept = (("Accept", "application/vnd.oai.openapi+json, application/json"),)
    try:
        answer = target.transport.send(Request("GET", path, accept))
    except httpx.HTTPError:
        return None
    found = json_or_none(answer) if answer.is_success else None
    if not isinstance(found, dict) or "paths" not in found:
        return None
    target.routes["openapi"] = path
    return found


def _paths(target: Target, document: dict[str, Any]) -> dict[str, list[str]]:
    """Return the methods of each path. Paths lose the prefix of the scan, because the transport adds it."""
    servers, paths = document.get("servers"), document.get("paths")
    first = servers[0] if isinstance(servers, list) and servers else None
    base = urlsplit(str(json_field(first, "url") or "")).path.rstrip("/")
    found = {}
    for path, item in paths.items() if isinstance(paths, dict) else ():
        methods = item if isinstance(item, dict) else ()
        found[f"{base}{path}".removeprefix(target.transport.prefix)] = [method.lower() for method in methods]
    return found


def _find(target: Target, common: Iterable[str], paths: dict[str, list[str]]) -> str | None:
    if paths:
        for candidate in common:
            for path in paths:
                if re.fullmatch(rf"(?:.*)?{re.escape(candidate)}/?", path):
                    return path
    for candidate in common:
        for path in (candidate, f"{candidate}/"):
            if _exists(target, path):
                return path
    return None


def _exists(target: Target, path: str) -> bool:
    answer = target.transport.send(Request("OPTIONS", path))
    return answer.status_code not in (404, 410) and not answer.is_redirect and answer.status_code < 500


def _session_field(target: Target, path: str) -> str | None:
    """Return the boolean field that is true if the request has a session, or None if the response has none."""
    document = json_or_none(target.get(path))
    names = [name for name in ("session", "has_session", "logged_in") if isinstance(json_field(document, name), bool)]
    return names[0] if names else None

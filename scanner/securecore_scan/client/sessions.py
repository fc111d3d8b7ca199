"""Logs in and out, and reads the caller's name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http.cookies import CookieError, Morsel, SimpleCookie
from typing import Any

import httpx

from securecore_scan.client.request import add_query, build
from securecore_scan.client.responses import is_refused, json_field, require_json, require_success, status_text
from securecore_scan.client.target import Target
from securecore_scan.outcomes import Inconclusive, NotApplicable
from securecore_scan.plan import Call

#: Names of the field with the caller's name, tried in this order.
_USER_FIELDS = ("user", "username", "sub", "email", "id")


@dataclass(frozen=True)
class SessionCookie:
    """A session id and the name of its cookie."""

    name: str
    value: str

    @property
    def header(self) -> dict[str, str]:
        return {"Cookie": f"{self.name}={self.value}"}


def log_in(target: Target, role: str = "owner", cookie: SessionCookie | None = None) -> SessionCookie:
    """Log in, with the session id ``cookie`` if one is given, and return the session id after the login."""
    opened = session_cookie(target, send_login(target, role, cookie)) or cookie
    if opened is None:
        raise Inconclusive("a login set no session cookie")
    if not is_live(target, opened, role):
        raise Inconclusive("a login opened no session")
    return opened


def send_login(
    target: Target,
    role: str = "owner",
    cookie: SessionCookie | None = None,
    *,
    query: str = "",
    headers: Mapping[str, str] | None = None,
) -> httpx.Response:
    """Log in and return the response. ``cookie``, ``query`` and ``headers`` may carry a planted session id."""
    request = build(_login(target), target.values(role)).with_query(query)
    request = request.with_headers({**(cookie.header if cookie else {}), **(headers or {})})
    return require_success(target.transport.send(request, role))


def log_out(target: Target, cookie: SessionCookie) -> None:
    """Log out. Raises ``Skipped`` if there is no logout route."""
    if target.plan.session.logout is None:
        raise target.lacking("no logout was found, and the plan names none: [session] logout")
    require_success(target.call(target.plan.session.logout, "owner", cookie.header))


def session_cookie(target: Target, response: httpx.Response) -> SessionCookie | None:
    """Return the session cookie that a response sets, or None."""
    morsel = session_morsel(target, response)
    return SessionCookie(morsel.key, target.redactor.add(morsel.value, "session id")) if morsel else None


def session_morsel(target: Target, response: httpx.Response) -> Morsel[str] | None:
    """Return the session cookie of a response with its attributes, such as Secure, or None."""
    for line in response.headers.get_list("set-cookie"):
        try:
            morsels = SimpleCookie(line)
        except CookieError:
            continue
        for name, morsel in morsels.items():
            if morsel.value and _is_session_cookie(target, name):
                return morsel
    return None


def is_live(target: Target, cookie: SessionCookie, role: str = "owner", *, query: str = "") -> bool:
    """Say whether the session id opens a session on a connection of this role."""
    return _has_session(target, send_whoami(target, cookie.header, role, query=query))


def user_name(target: Target, headers: Mapping[str, str], role: str = "owner") -> str | None:
    """Return the caller's name by the service, or None if the service refuses the request."""
    answer = send_whoami(target, headers, role)
    return None if is_refused(answer) else user_in(target, answer)


def send_whoami(target: Target, headers: Mapping[str, str], role: str, *, query: str = "") -> httpx.Response:
    """Ask the service for the caller's name, and return the response."""
    return target.get(add_query(whoami_path(target), query), role, headers)


def whoami_path(target: Target) -> str:
    """Return the route that names the caller, such as /api/whoami. Raises ``Skipped`` if none is known."""
    if target.plan.session.read is None:
        raise target.lacking("no route that names the caller was found, and the plan names none: [session] read")
    return target.plan.session.read


def user_in(target: Target, answer: httpx.Response) -> str | None:
    """Return the caller's name in a response."""
    document = require_json(answer)
    named = target.plan.session.user
    found = json_field(document, named) if named else _caller_in(document)
    return None if found is None else str(found)


def _caller_in(document: Any) -> Any:
    """Return the value of the first known field, in the document or in an object within it, such as ``data``."""
    if not isinstance(document, dict):
        return None
    known = [document[name] for name in _USER_FIELDS if isinstance(document.get(name), str | int)]
    return known[0] if known else next((found for one in document.values() if (found := _caller_in(one))), None)


def login_route(target: Target) -> str:
    """Return method and path of the login. Raises ``Skipped`` if none is known."""
    return str(_login(target))


def _login(target: Target) -> Call:
    call = target.plan.session.login
    if call is not None and not target.login_problem:
        return call
    if target.authorizer is not None:
        raise NotApplicable("the login gives a token and sets no session cookie")
    raise target.lacking("no login was found, and the plan names none: [session] login")


def _has_session(target: Target, answer: httpx.Response) -> bool:
    if is_refused(answer):
        return False
    field = target.plan.session.field
    if field is not None:
        return bool(json_field(require_json(answer), field))
    # Without such a field, a 2xx response shows a session only if the route refuses requests without a session.
    target.once(_demands_a_session)
    return True


def _demands_a_session(target: Target) -> None:
    answer = target.get(whoami_path(target))
    if not is_refused(answer):
        raise Inconclusive(
            f"GET {whoami_path(target)} answers {status_text(answer)} without a session; name the field that is true "
            "if there is one: [session] field"
        )


def _is_session_cookie(target: Target, name: str) -> bool:
    if target.plan.session.cookie is not None:
        return name == target.plan.session.cookie
    lowered = name.lower()
    return "csrf" not in lowered and ("sess" in lowered or lowered.endswith("sid"))

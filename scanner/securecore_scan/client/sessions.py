"""Logging in and out, and whose session it is."""

from __future__ import annotations

from dataclasses import dataclass
from http.cookies import CookieError, Morsel, SimpleCookie

import httpx

from securecore_scan.client.target import Target, add_headers, at, body, described, granted, refused
from securecore_scan.client.wire import Request
from securecore_scan.verdict import NotJudged, Skipped

_USER_FIELDS = ("user", "username", "sub", "email", "id")


@dataclass(frozen=True)
class Cookie:
    """A session's id, and the cookie it is in."""

    name: str
    value: str

    @property
    def header(self) -> dict[str, str]:
        return {"Cookie": f"{self.name}={self.value}"}


def log_in(
    target: Target,
    who: str = "owner",
    cookie: Cookie | None = None,
    *,
    query: str = "",
    headers: dict[str, str] | None = None,
) -> Cookie:
    """Log in, with an id that is there already if one is given, and return the id that counts now."""
    opened = set_cookie(target, log_in_answer(target, who, cookie, query=query, headers=headers)) or cookie
    if opened is None:
        raise NotJudged("a login set no session cookie")
    if not is_live(target, opened, who):
        raise NotJudged("a login opened no session")
    return opened


def log_in_answer(
    target: Target,
    who: str = "owner",
    cookie: Cookie | None = None,
    *,
    query: str = "",
    headers: dict[str, str] | None = None,
) -> httpx.Response:
    """Log in and return the answer."""
    call = target.plan.session.login
    if call is None:
        raise Skipped("no login was found, and the plan names none: [session] login")
    request = target.prepared(call, target.values(who))
    path = f"{request.path}{'&' if '?' in request.path else '?'}{query}" if query else request.path
    request = Request(request.method, path, request.headers, request.content)
    request = add_headers(request, {**(cookie.header if cookie else {}), **(headers or {})})
    return granted(target.wire.send(request, who))


def log_out(target: Target, cookie: Cookie) -> None:
    """Log out. Raises ``Skipped`` if there is no logout."""
    if target.plan.session.logout is None:
        raise Skipped("no logout was found, and the plan names none: [session] logout")
    granted(target.call(target.plan.session.logout, "owner", cookie.header))


def set_cookie(target: Target, response: httpx.Response) -> Cookie | None:
    """Return the session cookie that a response sets, None if it sets none."""
    morsel = session_morsel(target, response)
    return Cookie(morsel.key, target.secrets.add(morsel.value, "session id")) if morsel else None


def session_morsel(target: Target, response: httpx.Response) -> Morsel[str] | None:
    """Return the session cookie of a response with its attributes."""
    for line in response.headers.get_list("set-cookie"):
        try:
            morsels = SimpleCookie(line)
        except CookieError:
            continue
        for name, morsel in morsels.items():
            if morsel.value and _is_session(target, name):
                return morsel
    return None


def is_live(target: Target, cookie: Cookie, who: str = "owner", *, query: str = "") -> bool:
    """Say whether this id opens a session for a client with this certificate."""
    return _has_session(target, seen_with(target, cookie.header, who, query=query))


def user_with(target: Target, headers: dict[str, str], who: str = "owner", *, query: str = "") -> str | None:
    """Return who the service says the caller is, None if it refuses to say."""
    answer = seen_with(target, headers, who, query=query)
    return None if refused(answer) else user_of(target, answer)


def seen_with(target: Target, headers: dict[str, str], who: str, *, query: str = "") -> httpx.Response:
    """Ask who the caller is."""
    path = read_at(target)
    return target.get(f"{path}{'&' if '?' in path else '?'}{query}" if query else path, who, headers)


def read_at(target: Target) -> str:
    """Return the route that says who the caller is. Raises ``Skipped``."""
    if target.plan.session.read is None:
        raise Skipped("no route that says who the caller is was found, and the plan names none: [session] read")
    return target.plan.session.read


def user_of(target: Target, answer: httpx.Response) -> str | None:
    """Return the caller's name from an answer."""
    document = body(answer)
    names = (target.plan.session.user,) if target.plan.session.user else _USER_FIELDS
    found = next((value for name in names if (value := at(document, name)) is not None), None)
    return None if found is None else str(found)


def subject(target: Target) -> str:
    if target.plan.session.login is None:
        raise Skipped("no login was found, and the plan names none: [session] login")
    return str(target.plan.session.login)


def _has_session(target: Target, answer: httpx.Response) -> bool:
    if refused(answer):
        return False
    field = target.plan.session.field
    if field is not None:
        return bool(at(body(answer), field))
    # No field says it: then the route must be closed to whoever has no session.
    target.once(_demands_a_session)
    return True


def _demands_a_session(target: Target) -> None:
    answer = target.get(read_at(target))
    if not refused(answer):
        raise NotJudged(
            f"GET {read_at(target)} answers {described(answer)} without a session; name a field that says whether "
            "there is one: [session] field"
        )


def _is_session(target: Target, name: str) -> bool:
    if target.plan.session.cookie is not None:
        return name == target.plan.session.cookie
    lowered = name.lower()
    return "csrf" not in lowered and ("sess" in lowered or lowered.endswith("sid"))

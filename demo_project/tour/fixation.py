from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from http.cookies import SimpleCookie

import httpx

from demo_project.tour.client import NotJudged, Probe, Service, body, granted, refused

TITLE = "Session fixation"
ABOUT = "An attacker plants a session id before the login, keeps an old one, and takes one to another certificate."


def attack(service: Service) -> Iterator[Probe]:
    """Plant a session id before alice's login, keep an old id of hers, and use her id under bob's certificate.

    bob is the attacker: an honest user with his own certificate.
    """
    with service.client("alice") as alice, service.client("bob") as bob:
        cookie = _log_in(bob, None)
        _log_out(bob, cookie)

        planted = _anonymous_id(bob, cookie.name)
        first = _log_in(alice, planted)
        yield _planted(alice, bob, planted, first)
        yield _is_alice("her cookie under bob's certificate", bob, headers=first.header)
        yield _is_alice("her id in bob's URL", bob, params={"sessionid": first.value})

        second = _log_in(alice, first)
        # For ten seconds after a rotation, a request that was sent with the previous id may still read the session
        # under the same certificate. So this probe uses the id before the previous one.
        second = second if second == first else _log_in(alice, second)
        survived = second == first or _has_session(alice, first)
        yield Probe("her old id after a second login", survived, "still her session" if survived else "dead")

        _log_out(alice, second)
        survived = _has_session(alice, second)
        yield Probe("her id after she logged out", survived, "still her session" if survived else "dead")


@dataclass(frozen=True)
class Cookie:
    """A session cookie."""

    name: str
    value: str

    @property
    def header(self) -> dict[str, str]:
        return {"Cookie": f"{self.name}={self.value}"}


def _log_in(client: httpx.Client, cookie: Cookie | None) -> Cookie:
    response = client.post("/auth/login", json={}, headers=cookie.header if cookie else {})
    opened = _set_cookie(granted(response)) or cookie
    if opened is None:
        raise NotJudged("a login set no session cookie")
    if not _has_session(client, opened):
        raise NotJudged("a login opened no session")
    return opened


def _log_out(client: httpx.Client, cookie: Cookie) -> None:
    granted(client.post("/auth/logout", json={}, headers=cookie.header))


def _set_cookie(response: httpx.Response) -> Cookie | None:
    for line in response.headers.get_list("set-cookie"):
        for name, morsel in SimpleCookie(line).items():
            if name.endswith("sessionid") and morsel.value:
                return Cookie(name, morsel.value)
    return None


def _anonymous_id(client: httpx.Client, name: str) -> Cookie:
    # An id that the service issues to an anonymous client or, if it issues none, a text of the same form.
    return _set_cookie(client.get("/")) or Cookie(name, secrets.token_urlsafe(32))


def _has_session(client: httpx.Client, cookie: Cookie) -> bool:
    return bool(body(client.get("/api/whoami", headers=cookie.header))["session"])


def _planted(alice: httpx.Client, bob: httpx.Client, planted: Cookie, opened: Cookie) -> Probe:
    kept = opened.value == planted.value
    hers = _has_session(alice, planted)
    user = body(bob.get("/api/whoami", headers=planted.header))["user"]
    evidence = f"{'kept' if kept else 'replaced'}, {'live' if hers else 'dead'}, bob is {user}"
    return Probe("an id planted before her login", kept or hers or user == "alice", evidence)


def _is_alice(name: str, client: httpx.Client, **request: dict[str, str]) -> Probe:
    response = client.get("/api/whoami", **request)  # type: ignore[arg-type]
    if refused(response):
        return Probe(name, False, str(response.status_code))
    seen = body(response)
    fell = seen["user"] == "alice" or seen["session"]
    return Probe(name, fell, f"bob is {seen['user']}, session {'yes' if seen['session'] else 'no'}")

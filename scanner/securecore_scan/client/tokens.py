"""Tokens asked for, used, refreshed, given back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx

from securecore_scan.client.target import Target, body, described, granted, parsed, refused
from securecore_scan.plan import Call
from securecore_scan.verdict import NotJudged, Skipped

_ACCESS, _REFRESH = ("access_token", "access", "token", "key"), ("refresh_token", "refresh")


@dataclass(frozen=True)
class Pair:
    """What a token request gave."""

    access: str
    refresh: str | None
    scheme: str

    @property
    def header(self) -> dict[str, str]:
        return {"Authorization": f"{self.scheme} {self.access}"}


def ask(target: Target, who: str = "owner", *, headers: dict[str, str] | None = None) -> Pair:
    """Ask for an access token. Raises ``Skipped`` if there is no token route, ``NotJudged`` if it says no."""
    call = target.plan.tokens.request
    if call is None:
        raise Skipped("no token endpoint was found, and the plan names none: [tokens] request")
    return read(target, target.call(call, who, headers))


def family(target: Target, who: str = "owner") -> Pair:
    """Ask for an access token with a refresh token. Raises ``Skipped`` if none comes."""
    call = target.plan.tokens.family or target.plan.tokens.request
    if call is None or target.plan.tokens.refresh is None:
        raise Skipped("no refresh tokens: the plan names none ([tokens] family, refresh)")
    pair = read(target, target.call(call, who))
    if pair.refresh is None:
        raise Skipped(f"{call} gives no refresh token")
    return pair


def read(target: Target, response: httpx.Response) -> Pair:
    """Return the tokens of a response, which are secrets from now on."""
    document = body(response)
    access, refresh = (_first(document, names) for names in (_ACCESS, _REFRESH))
    if access is None:
        raise NotJudged(f"{response.request.method} {response.url.path} gave no token")
    target.secrets.add(access, "access token")
    if refresh is not None:
        target.secrets.add(refresh, "refresh token")
    scheme = parsed(response).get("token_type") or target.plan.tokens.scheme
    return Pair(access, refresh, target.plan.tokens.scheme if str(scheme).lower() == "bearer" else str(scheme))


def use(
    target: Target, access: str, who: str = "owner", *, scheme: str | None = None, headers: dict[str, str] | None = None
) -> httpx.Response:
    """Send an access token to the route that demands one."""
    credentials = {"Authorization": f"{scheme or target.plan.tokens.scheme} {access}"}
    return target.get(used_at(target), who, credentials | (headers or {}))


def used_at(target: Target) -> str:
    """Return the route that demands a token. Raises ``Skipped``."""
    if target.plan.tokens.use is None:
        raise Skipped("no route that demands a token was found, and the plan names none: [tokens] use")
    return target.plan.tokens.use


def subject(target: Target) -> str:
    return f"GET {used_at(target)}"


def honest(target: Target) -> Pair:
    """Return a token that works where none is refused: without both, an attack with a token proves nothing."""
    target.once(_demands_a_token)
    pair = ask(target)
    granted(use(target, pair.access, scheme=pair.scheme))
    return pair


def spend(target: Target, refresh: str, who: str = "owner") -> httpx.Response:
    """Redeem a refresh token."""
    return target.wire.send(target.prepared(_refreshing(target), target.values(who, refresh=refresh)), who)


def spend_at_once(target: Target, refresh: str, copies: int) -> list[httpx.Response]:
    """Redeem one refresh token so many times at once."""
    request = target.prepared(_refreshing(target), target.values(refresh=refresh))
    return target.wire.at_once([request] * copies)


def give_back(target: Target, token: str, *, pair: Pair | None = None) -> str:
    """Revoke a token, or log out with it where there is no revocation; return what was called."""
    credentials = pair.header if pair else {}
    values = {"token": token, "refresh": (pair and pair.refresh) or token}
    for call in (target.plan.tokens.revoke, target.plan.session.logout):
        if call is not None:
            granted(target.call(call, "owner", credentials, **values))
            return str(call)
    raise Skipped("neither a revocation nor a logout was found, and the plan names none: [tokens] revoke")


def _demands_a_token(target: Target) -> None:
    answer = target.get(used_at(target))
    if not refused(answer):
        raise NotJudged(f"{subject(target)} answers {described(answer)} without a token")


def _refreshing(target: Target) -> Call:
    if target.plan.tokens.refresh is None:
        raise Skipped("the plan names no refresh route: [tokens] refresh")
    return target.plan.tokens.refresh


def _first(document: Any, names: tuple[str, ...]) -> str | None:
    found = (document.get(name) for name in names) if isinstance(document, dict) else ()
    return next((value for value in found if isinstance(value, str) and value), None)

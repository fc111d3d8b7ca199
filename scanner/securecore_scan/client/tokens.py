"""Requests, uses, refreshes and revokes tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from securecore_scan.client.request import Request, build
from securecore_scan.client.responses import (
    is_refused,
    json_field,
    json_or_none,
    require_json,
    require_success,
    route,
    status_text,
)
from securecore_scan.client.target import Target
from securecore_scan.outcomes import Inconclusive, NotApplicable, Skipped
from securecore_scan.plan import Call

#: Names of the tokens in a token response: OAuth 2, simplejwt, knox, REST framework, Djoser and usual others.
_ACCESS = ("access_token", "access", "accesstoken", "auth_token", "authtoken", "token", "jwt", "key", "id_token")
_REFRESH = ("refresh_token", "refresh", "refreshtoken")


@dataclass(frozen=True)
class TokenPair:
    """The tokens of one token response."""

    access: str
    refresh: str | None
    scheme: str

    @property
    def header(self) -> dict[str, str]:
        return {"Authorization": f"{self.scheme} {self.access}"}


def request_tokens(target: Target, role: str = "owner") -> TokenPair:
    """Request an access token. Raises ``Skipped`` without a token route, ``Inconclusive`` if the service refuses."""
    call = target.plan.tokens.request
    if call is None:
        raise target.lacking("no token endpoint was found, and the plan names none: [tokens] request")
    # An account that the scanner opened beside the roles logs in over the owner's connection.
    connection = role if role in ("owner", "second", "admin", "anonymous") else "owner"
    values = target.values(role, authorization="")
    return read_tokens(target, target.transport.send(build(call, values), connection))


def request_family(target: Target, role: str = "owner") -> TokenPair:
    """Request an access token with a refresh token. Raises ``Skipped`` if the service issues no refresh token."""
    call = target.plan.tokens.family or target.plan.tokens.request
    if call is None or (target.plan.tokens.refresh is None and target.authorizer is None):
        raise target.lacking("no refresh tokens: the plan names none ([tokens] family, refresh)")
    pair = read_tokens(target, target.call(call, role, authorization=""))
    if pair.refresh is None:
        raise NotApplicable(f"{call} gives no refresh token")
    if target.plan.tokens.refresh is None:
        raise Skipped(f"{call} gives a refresh token, and the plan names no route that redeems it: [tokens] refresh")
    return pair


def read_tokens(target: Target, response: httpx.Response) -> TokenPair:
    """Return the tokens of a token response, and redact them in reports."""
    document = require_json(response)
    access, refresh = (_first(document, names) for names in (_ACCESS, _REFRESH))
    if access is None:
        raise Inconclusive(f"{route(response)} gave no token")
    target.redactor.add(access, "access token")
    if refresh is not None:
        target.redactor.add(refresh, "refresh token")
    scheme = json_field(document, "token_type") or target.plan.tokens.scheme
    return TokenPair(access, refresh, target.plan.tokens.scheme if str(scheme).lower() == "bearer" else str(scheme))


def token_in(response: httpx.Response) -> str | None:
    """Return the access token in the body of a login's response, or None."""
    return _first(json_or_none(response), _ACCESS)


def use(
    target: Target,
    access: str,
    role: str = "owner",
    *,
    scheme: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> httpx.Response:
    """Send an access token to the protected route, and return the response."""
    credentials = {"Authorization": f"{scheme or target.plan.tokens.scheme} {access}"}
    return target.get(protected_path(target), role, {**credentials, **(headers or {})})


def protected_path(target: Target) -> str:
    """Return the route that demands a token. Raises ``Skipped`` if none is known."""
    if target.plan.tokens.use is None:
        raise target.lacking("no route that demands a token was found, and the plan names none: [tokens] use")
    return target.plan.tokens.use


def subject(target: Target) -> str:
    return f"GET {protected_path(target)}"


def working_pair(target: Target) -> TokenPair:
    """Return new tokens, after two controls: the route refuses a request without a token, and accepts these.

    Without both controls, the response to a stolen or forged token proves nothing.
    """
    target.once(_demands_a_token)
    pair = request_tokens(target)
    require_success(use(target, pair.access, scheme=pair.scheme))
    return pair


def redeem(target: Target, refresh: str, role: str = "owner") -> httpx.Response:
    """Redeem a refresh token, and return the response."""
    return target.transport.send(build(_refresh_call(target), target.values(role, refresh=refresh)), role)


def redemption(target: Target, refresh: str) -> Request:
    """Return the request that redeems a refresh token, so that a race can send it many times."""
    return build(_refresh_call(target), target.values(refresh=refresh))


def revoke(target: Target, token: str, *, pair: TokenPair | None = None) -> str:
    """Revoke a token, or log out where there is no revocation route. Return the route, such as ``POST /revoke``."""
    values = {"token": token, "refresh": (pair and pair.refresh) or token}
    for call in (target.plan.tokens.revoke, target.plan.session.logout):
        if call is not None:
            # A revocation that names its client (RFC 7009 section 2.1) has no room for the token's own header.
            credentials = pair.header if pair and "Authorization" not in call.headers else {}
            require_success(target.call(call, "owner", credentials, authorization="", **values))
            target.forget_authorizations()
            return str(call)
    raise target.lacking("neither a revocation nor a logout was found, and the plan names none: [tokens] revoke")


def _demands_a_token(target: Target) -> None:
    answer = target.get(protected_path(target))
    if not is_refused(answer):
        raise Inconclusive(f"{subject(target)} answers {status_text(answer)} without a token")


def _refresh_call(target: Target) -> Call:
    if target.plan.tokens.refresh is None:
        raise target.lacking("the plan names no refresh route: [tokens] refresh")
    return target.plan.tokens.refresh


def _first(document: Any, names: tuple[str, ...]) -> str | None:
    """Return the value of the first name, in the document or in an object within it, such as ``data.token``."""
    if not isinstance(document, dict):
        return None
    lowered = {str(name).lower(): value for name, value in document.items()}
    for name in names:
        if isinstance(value := lowered.get(name), str) and value:
            return value
    return next((found for inner in document.values() if (found := _first(inner, names))), None)

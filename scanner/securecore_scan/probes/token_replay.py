"""Access tokens after their revocation, under another certificate, in a URL, or with a long lifetime.

Each check first sees the route accept the token and refuse a request without one. Otherwise a response proves nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from typing import Any

from securecore_scan.checks import Check, Severity
from securecore_scan.client import jws, tokens
from securecore_scan.client.request import add_query
from securecore_scan.client.responses import is_refused, require_success, status_text
from securecore_scan.client.target import Target
from securecore_scan.outcomes import Inconclusive, NotApplicable, Outcome, outcome_of, passed


def after_revocation(target: Target) -> Iterator[Outcome]:
    """Use a token after its revocation, or after logout, was answered. Works if the token is accepted."""
    pair = tokens.working_pair(target)
    called = tokens.revoke(target, pair.access, pair=pair)
    answer = tokens.use(target, pair.access, scheme=pair.scheme)
    yield outcome_of(not is_refused(answer), tokens.subject(target), f"after {called}: {status_text(answer)}")


def after_refresh_token_revocation(target: Target) -> Iterator[Outcome]:
    """Use an access token after its refresh token was revoked (RFC 7009 section 2.1). Works if it is accepted."""
    target.once(tokens.working_pair)
    pair = tokens.request_family(target)
    require_success(tokens.use(target, pair.access, scheme=pair.scheme))
    called = tokens.revoke(target, pair.refresh or "", pair=pair)
    answer = tokens.use(target, pair.access, scheme=pair.scheme)
    seen = f"after {called} with its refresh token: {status_text(answer)}"
    yield outcome_of(not is_refused(answer), tokens.subject(target), seen)


def under_another_certificate(target: Target) -> Iterator[Outcome]:
    """Use the owner's token on the attacker's connection. Works if the token is accepted."""
    yield _use_as(target, "second", "under another certificate")


def without_certificate(target: Target) -> Iterator[Outcome]:
    """Use a token on a connection without a certificate. Works if the token is accepted."""
    if target.transport.is_tls and not target.answers_without_certificate():
        yield passed(tokens.subject(target), "the port accepts no connection without a certificate")
        return
    yield _use_as(target, "anonymous", "without a certificate")


def in_url(target: Target) -> Iterator[Outcome]:
    """Send the token as a query parameter of a common name. Works if one is accepted."""
    pair = tokens.working_pair(target)
    path = tokens.protected_path(target)
    answers = {}
    for name in ("access_token", "token", "jwt", "auth"):
        answers[name] = target.get(add_query(path, f"{name}={pair.access}"))
    accepted = [name for name, answer in answers.items() if not is_refused(answer)]
    seen = ", ".join(f"?{name}= {status_text(answer)}" for name, answer in answers.items())
    yield outcome_of(bool(accepted), tokens.subject(target), seen)


def long_lifetime(target: Target) -> Iterator[Outcome]:
    """Read the expiry of a token. Fails above ``tokens.longest_life`` of the plan, which is one hour by default."""
    claims = _claims(target)
    expires = claims.get("exp")
    if not isinstance(expires, int | float):
        yield outcome_of(True, tokens.subject(target), "the token has no exp")
        return
    seconds = expires - time.time()
    longest = target.plan.tokens.longest_life
    yield outcome_of(seconds > longest, tokens.subject(target), f"valid for {seconds:.0f} s; {longest} s are allowed")


def without_jti(target: Target) -> Iterator[Outcome]:
    """Read whether a token has a jti. Fails without one: a token without an identifier cannot be revoked alone."""
    has_jti = bool(_claims(target).get("jti"))
    yield outcome_of(not has_jti, tokens.subject(target), "jti" if has_jti else "no jti")


def _claims(target: Target) -> dict[str, Any]:
    found = jws.decode(tokens.working_pair(target).access)
    if found is None:
        raise NotApplicable("the token is not a JWT, so its claims cannot be read")
    return found[1]


def _use_as(target: Target, role: str, circumstance: str) -> Outcome:
    if role == "anonymous" and not target.transport.is_tls:
        raise NotApplicable("plain http has no certificates")
    if role != "anonymous":
        target.transport.require_certificates()
    pair = tokens.working_pair(target)
    answer = tokens.use(target, pair.access, role, scheme=pair.scheme)
    # Control: the owner can still use the token, so the service refused the thief and not an expired token.
    if is_refused(tokens.use(target, pair.access, scheme=pair.scheme)):
        raise Inconclusive("the token ended meanwhile")
    return outcome_of(not is_refused(answer), tokens.subject(target), f"{circumstance}: {status_text(answer)}")


_BIND = "Bind tokens to the certificate (RFC 8705: cnf, x5t#S256) or to a key (RFC 9449), and compare at each request."

_check = partial(Check, category="token-replay", owasp="API2:2023", cwe=(294,))
CHECKS = (
    _check(
        "SC-TOKEN-1",
        "Token after its revocation or logout",
        severity=Severity.HIGH,
        cwe=(613, 294),
        asvs=("7.4.1", "10.4.9"),
        risk="A stolen token works until it expires, and its owner cannot stop it.",
        remedy="Keep revoked jti values until they expire, in a store that all instances share.",
        securecore="AccessTokenAuthentication; securecore.revocation.revoke_token",
        run=after_revocation,
    ),
    _check(
        "SC-TOKEN-2",
        "Access token after its refresh token was revoked",
        severity=Severity.MEDIUM,
        cwe=(613,),
        asvs=("7.4.1", "10.4.9"),
        risk="Logging out ends the refresh token, but a stolen access token still works.",
        remedy="Put the id of the token family into the access token, and refuse the token when the family has ended.",
        securecore="AccessTokenAuthentication; securecore.revocation.revoke_family",
        run=after_refresh_token_revocation,
    ),
    _check(
        "SC-TOKEN-3",
        "Token under another certificate",
        severity=Severity.HIGH,
        asvs=("10.3.5",),
        risk="An attacker with a certificate of his own and a stolen token acts as the owner of the token.",
        remedy=_BIND,
        securecore="AccessTokenAuthentication",
        run=under_another_certificate,
    ),
    _check(
        "SC-TOKEN-4",
        "Token without a certificate",
        severity=Severity.HIGH,
        asvs=("10.3.5",),
        risk="A stolen token is enough: the thief needs no certificate.",
        remedy=_BIND,
        securecore="AccessTokenAuthentication",
        run=without_certificate,
    ),
    _check(
        "SC-TOKEN-5",
        "Token in the URL",
        severity=Severity.MEDIUM,
        cwe=(598,),
        asvs=("14.2.1",),
        risk="Logs, browser histories and Referer headers store URLs, and with them the token.",
        remedy="Take tokens from the Authorization header only, and refuse tokens in a query string.",
        securecore="ClientCertificateMiddleware refuses them: token-in-url",
        run=in_url,
    ),
    _check(
        "SC-TOKEN-6",
        "Token with a long lifetime",
        severity=Severity.MEDIUM,
        cwe=(613,),
        asvs=("7.3.2",),
        risk="A token found in yesterday's log still works.",
        remedy="Give access tokens 5 to 15 minutes, and a refresh token that is replaced at each use.",
        securecore="ACCESS_TOKEN_LIFETIME",
        run=long_lifetime,
    ),
    _check(
        "SC-TOKEN-7",
        "Token without a jti",
        severity=Severity.LOW,
        cwe=(613,),
        asvs=("7.4.1",),
        risk="The service cannot revoke one token alone, because the token has no identifier.",
        remedy="Put a random jti into each token.",
        securecore="POST /oauth/token",
        run=without_jti,
    ),
)

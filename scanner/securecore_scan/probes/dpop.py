"""Tokens bound to a key that the client proves with each request (RFC 9449)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import httpx

from securecore_scan.client import tokens
from securecore_scan.client.jws import ProofKey
from securecore_scan.client.target import Target, described, granted, refused
from securecore_scan.verdict import Check, Seen, Severity, Skipped, judged


def same_proof(target: Target) -> Iterator[Seen]:
    """Send one proof twice. Works if the second is accepted."""
    key, access = _bound(target)
    headers = _proof(target, key, access)
    granted(tokens.use(target, access, scheme="DPoP", headers=headers))
    answer = tokens.use(target, access, scheme="DPoP", headers=headers)
    yield judged(not refused(answer), tokens.subject(target), f"the same proof again: {described(answer)}")


def as_bearer(target: Target) -> Iterator[Seen]:
    """Send a bound token as a bearer token, without a proof (section 7.2). Works if it is accepted."""
    key, access = _bound(target)
    granted(tokens.use(target, access, scheme="DPoP", headers=_proof(target, key, access)))
    answer = tokens.use(target, access, scheme="Bearer")
    yield judged(not refused(answer), tokens.subject(target), f"as a bearer token: {described(answer)}")


def another_key(target: Target) -> Iterator[Seen]:
    """Send a bound token with a proof of another key. Works if it is accepted."""
    _, access = _bound(target)
    answer = tokens.use(target, access, scheme="DPoP", headers=_proof(target, ProofKey(), access))
    yield judged(not refused(answer), tokens.subject(target), f"with another key's proof: {described(answer)}")


def _bound(target: Target) -> tuple[ProofKey, str]:
    call = target.plan.tokens.request
    if call is None or not target.plan.tokens.dpop:
        raise Skipped("no token endpoint, or the plan says that it knows no DPoP: [tokens] dpop")
    key, url = ProofKey(), target.wire.url(call.path)
    answer = target.call(call, headers={"DPoP": key.proof(call.method, url)})
    if nonce := answer.headers.get("dpop-nonce"):
        answer = target.call(call, headers={"DPoP": key.proof(call.method, url, nonce=nonce)})
    pair = tokens.read(target, answer)
    if pair.scheme.lower() != "dpop":
        raise Skipped("a DPoP proof binds nothing here: the token's type is not DPoP")
    return key, pair.access


def _proof(target: Target, key: ProofKey, access: str) -> dict[str, str]:
    url = target.wire.url(tokens.used_at(target).partition("?")[0])
    nonce = _nonce(tokens.use(target, access, scheme="DPoP", headers={"DPoP": key.proof("GET", url)}))
    return {"DPoP": target.secrets.add(key.proof("GET", url, access_token=access, nonce=nonce), "proof")}


def _nonce(answer: httpx.Response) -> str | None:
    # A proof without ath is refused everywhere; the refusal brings a nonce where one is wanted (section 9).
    found = answer.headers.get("dpop-nonce")
    return str(found) if found else None


_check = partial(Check, category="token-replay", owasp="API2:2023", cwe=(294,), securecore="DPoPAuthentication")
CHECKS = (
    _check(
        "SC-DPOP-1",
        "A DPoP proof used twice",
        severity=Severity.HIGH,
        asvs=("10.3.5",),
        risk="Token and proof, read once on the way, work again until the proof's window closes.",
        remedy="Remember each proof's jti for its whole window, in a store that all instances share.",
        run=same_proof,
    ),
    _check(
        "SC-DPOP-2",
        "A DPoP token as a bearer token",
        severity=Severity.HIGH,
        asvs=("10.3.5",),
        risk="The binding is for those who keep to it.",
        remedy="Refuse a token with cnf.jkt under the Bearer scheme (RFC 9449 section 7.2).",
        run=as_bearer,
    ),
    _check(
        "SC-DPOP-3",
        "A DPoP token with another key's proof",
        severity=Severity.HIGH,
        asvs=("10.3.5",),
        risk="Anybody's key proves anybody's token.",
        remedy="Compare the thumbprint of the proof's key with cnf.jkt (RFC 9449 section 4.3).",
        run=another_key,
    ),
)

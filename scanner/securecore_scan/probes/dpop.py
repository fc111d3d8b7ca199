"""DPoP: tokens that are bound to a key, which the client proves with each request (RFC 9449)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import httpx

from securecore_scan.checks import Check, Severity
from securecore_scan.client import tokens
from securecore_scan.client.jws import ProofKey
from securecore_scan.client.responses import is_refused, require_success, status_text
from securecore_scan.client.target import Target
from securecore_scan.outcomes import NotApplicable, Outcome, outcome_of


def same_proof_twice(target: Target) -> Iterator[Outcome]:
    """Send one proof twice. Works if the second request is accepted."""
    key, access = _bound_token(target)
    headers = _proof(target, key, access)
    require_success(tokens.use(target, access, scheme="DPoP", headers=headers))
    answer = tokens.use(target, access, scheme="DPoP", headers=headers)
    yield outcome_of(not is_refused(answer), tokens.subject(target), f"the same proof again: {status_text(answer)}")


def bound_token_as_bearer(target: Target) -> Iterator[Outcome]:
    """Send a bound token as a bearer token, without a proof (section 7.2). Works if the token is accepted."""
    key, access = _bound_token(target)
    require_success(tokens.use(target, access, scheme="DPoP", headers=_proof(target, key, access)))
    answer = tokens.use(target, access, scheme="Bearer")
    yield outcome_of(not is_refused(answer), tokens.subject(target), f"as a bearer token: {status_text(answer)}")


def proof_of_another_key(target: Target) -> Iterator[Outcome]:
    """Send a bound token with a proof of another key. Works if the token is accepted."""
    _, access = _bound_token(target)
    answer = tokens.use(target, access, scheme="DPoP", headers=_proof(target, ProofKey(), access))
    yield outcome_of(not is_refused(answer), tokens.subject(target), f"with another key's proof: {status_text(answer)}")


def _bound_token(target: Target) -> tuple[ProofKey, str]:
    call = target.plan.tokens.request
    if call is None or not target.plan.tokens.dpop:
        raise target.lacking("no token endpoint is known, or the plan turns DPoP off: [tokens] dpop")
    key, url = ProofKey(), target.transport.url(call.path)
    answer = target.call(call, headers={"DPoP": key.proof(call.method, url)})
    if nonce := answer.headers.get("dpop-nonce"):
        answer = target.call(call, headers={"DPoP": key.proof(call.method, url, nonce=nonce)})
    pair = tokens.read_tokens(target, answer)
    if pair.scheme.lower() != "dpop":
        raise NotApplicable("the service ignores the DPoP proof: the token's type is not DPoP")
    return key, pair.access


def _proof(target: Target, key: ProofKey, access: str) -> dict[str, str]:
    url = target.transport.url(tokens.protected_path(target).partition("?")[0])
    # Every service refuses a proof without ath. If the service demands a nonce, the refusal carries one (section 9).
    nonce = _nonce(tokens.use(target, access, scheme="DPoP", headers={"DPoP": key.proof("GET", url)}))
    return {"DPoP": target.redactor.add(key.proof("GET", url, access_token=access, nonce=nonce), "proof")}


def _nonce(answer: httpx.Response) -> str | None:
    found = answer.headers.get("dpop-nonce")
    return str(found) if found else None


_check = partial(Check, category="token-replay", owasp="API2:2023", cwe=(294,), securecore="DPoPAuthentication")
CHECKS = (
    _check(
        "SC-DPOP-1",
        "DPoP proof used twice",
        severity=Severity.HIGH,
        asvs=("10.3.5",),
        risk="An attacker who reads token and proof once can send them again until the proof expires.",
        remedy="Remember each proof's jti for its whole validity, in a store that all instances share.",
        run=same_proof_twice,
    ),
    _check(
        "SC-DPOP-2",
        "DPoP token as a bearer token",
        severity=Severity.HIGH,
        asvs=("10.3.5",),
        risk="A thief simply leaves the proof out.",
        remedy="Refuse a token with cnf.jkt under the Bearer scheme (RFC 9449 section 7.2).",
        run=bound_token_as_bearer,
    ),
    _check(
        "SC-DPOP-3",
        "DPoP token with another key's proof",
        severity=Severity.HIGH,
        asvs=("10.3.5",),
        risk="A thief signs the proof with a key of his own.",
        remedy="Compare the thumbprint of the proof's key with cnf.jkt (RFC 9449 section 4.3).",
        run=proof_of_another_key,
    ),
)

"""The DPoP proof, by which a client proves for one request that it holds a key (RFC 9449).

``verify_proof`` is pure and makes the checks of section 4.3, each marked with its number. Cheap checks come first.
``claim_proof`` then accepts the proof once in the whole cluster. Half of check 12 is left to the calling code, which
knows the token: the token's ``cnf.jkt`` must equal the proof's ``jkt``.
"""

from __future__ import annotations

import datetime as dt
import hmac
import json
import re
from dataclasses import dataclass
from typing import Any

from securecore import clock, digests
from securecore.conf import settings
from securecore.errors import InvalidDPoPProof, Refused, UseDPoPNonce
from securecore.replay import server_nonce, store
from securecore.replay.proof_key import DPOP_ALGORITHMS, checked_key, signature_is_good
from securecore.replay.target_uri import normalized
from securecore_client.wire.thumbprints import access_token_hash

#: Header parameters that change the signed bytes or name a key outside the proof. ``kid`` is ignored: some clients add
#: it.
_REFUSED_PARAMETERS = frozenset(("crit", "b64", "jku", "x5u", "x5c"))

#: Characters. A proof with an RSA key of 4096 bits has about 2,000.
_LONGEST_PROOF = 8192
_COMPACT_JWS = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
#: The longest value of a claim, in bytes. An attacker could fill the server's memory with a huge ``jti`` (section
#: 11.1).
_LONGEST_CLAIMS = {"jti": 256, "htm": 32, "htu": 4096, "ath": 43, "nonce": 256}
_REQUIRED_CLAIMS = ("jti", "htm", "htu")


@dataclass(frozen=True)
class Proof:
    """A proof that passed every check except the claim."""

    #: RFC 7638 thumbprint of the key that signed the proof.
    jkt: str
    jti: str
    issued_at: dt.datetime
    nonce: str | None
    #: The request's URL without query and fragment, normalized.
    url: str


def verify_proof(
    presented: str | None, *, method: str, url: str, access_token: str | None, now: dt.datetime, nonce_required: bool
) -> Proof:
    """Return the proof in a presented ``DPoP`` header for the request with this ``method`` and absolute ``url``.

    ``access_token`` is the request's access token; None at the token endpoint. Raises ``InvalidDPoPProof`` for every
    fault of the proof. Raises ``UseDPoPNonce`` for a good proof with an invalid server nonce, or without one although
    ``nonce_required``. Nothing is stored: call ``claim_proof`` afterwards.
    """
    try:
        header, claims, signing_input, signature = _read(presented)
        algorithm, jwk = _checked_header(header)
        _check_claims(claims)
        target = normalized(url)
        _demand(claims["htm"] == method, "htm is not the method of this request.")  # (8)
        is_here = target is not None and normalized(claims["htu"]) == target
        _demand(is_here, "htu is not the URL of this request.")  # (9)
        _check_time(claims["iat"], now)
        if access_token is not None:
            _check_access_token(claims, access_token)
        good = signature_is_good(signature, of=signing_input, jwk=jwk, algorithm=algorithm)
        _demand(good, "The signature is not jwk's.")  # (6)
        _check_nonce(claims, now, required=nonce_required)
        return Proof(
            jkt=digests.jwk_thumbprint(jwk),
            jti=claims["jti"],
            issued_at=dt.datetime.fromtimestamp(claims["iat"], dt.UTC),
            nonce=claims.get("nonce"),
            url=str(target),
        )
    except Refused:
        raise
    except Exception as error:
        # Decoders and cryptography report malformed input with exceptions of many kinds. Each is the sender's fault.
        raise InvalidDPoPProof from error


def claim_proof(proof: Proof, *, now: dt.datetime) -> None:
    """Accept ``proof`` once in the cluster (section 11.1). Commits by itself: raises ``Misuse`` in a transaction.

    Raises ``InvalidDPoPProof`` for a replay, and the exceptions of ``store.claim``.
    """
    record = digests.record_id("dpop", proof.jkt, proof.url, proof.jti)
    if not store.claim(record, made_at=proof.issued_at, now=now, kind="a DPoP proof"):
        raise InvalidDPoPProof("This proof was received before; make a new one for every request.")


def _demand(holds: bool, detail: str) -> None:
    if not holds:
        raise InvalidDPoPProof(detail)


def _read(presented: str | None) -> tuple[dict[str, Any], dict[str, Any], bytes, bytes]:
    """Return header, claims, signed bytes and signature."""
    if not presented:
        raise InvalidDPoPProof("The DPoP header is missing.")
    _demand(len(presented) <= _LONGEST_PROOF, "The proof is too long.")
    _demand("," not in presented, "There must be exactly one DPoP header.")  # (1) servers join two headers with a comma
    _demand(_COMPACT_JWS.fullmatch(presented) is not None, "The proof is not a signed JWT.")  # (2)
    signing_input, _, signature = presented.rpartition(".")
    header, _, claims = signing_input.partition(".")
    return _json_object(header), _json_object(claims), signing_input.encode(), digests.from_base64url(signature)


def _json_object(encoded: str) -> dict[str, Any]:
    value = _JSON.decode(digests.from_base64url(encoded).decode("utf-8"))
    _demand(isinstance(value, dict), "Header and claims of the proof must be JSON objects.")
    return dict(value)


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    # RFC 7515 section 4: of two equal names, some parsers take the first and some the last.
    _demand(len(members) == len(pairs), "The proof names a member twice.")
    return members


def _refuse_constant(name: str) -> None:
    raise InvalidDPoPProof("The proof is not JSON.")  # NaN and Infinity, which Python accepts and JSON forbids


_JSON = json.JSONDecoder(object_pairs_hook=_members, parse_constant=_refuse_constant)


def _checked_header(header: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return ``alg`` and ``jwk`` of a header, after checking that the key fits the algorithm."""
    _demand(header.get("typ") == "dpop+jwt", "typ must be dpop+jwt.")  # (4)
    _demand(header.get("alg") in DPOP_ALGORITHMS, f"alg must be one of {', '.join(DPOP_ALGORITHMS)}.")  # (5)
    _demand(not _REFUSED_PARAMETERS & header.keys(), "The proof has a header parameter that is not accepted.")
    return header["alg"], checked_key(header.get("jwk"), header["alg"])  # (7)


def _check_claims(claims: dict[str, Any]) -> None:
    for name, longest in _LONGEST_CLAIMS.items():  # (3)
        if name in claims or name in _REQUIRED_CLAIMS:
            value = claims.get(name)
            _demand(isinstance(value, str) and 0 < len(value.encode()) <= longest, f"{name} is missing or malformed.")
    # Not isinstance: a bool is an int too.
    _demand(type(claims.get("iat")) in (int, float), "iat is missing or malformed.")


def _check_time(iat: float, now: dt.datetime) -> None:
    age = now.timestamp() - iat
    _demand(-clock.SKEW <= age <= settings.REPLAY_WINDOW, "iat is too far from the server's clock.")  # (11)


def _check_access_token(claims: dict[str, Any], access_token: str) -> None:
    expected = access_token_hash(access_token)
    fits = hmac.compare_digest(claims.get("ath", "").encode(), expected.encode())
    _demand(fits, "ath is not the hash of the access token.")  # (12)


def _check_nonce(claims: dict[str, Any], now: dt.datetime, *, required: bool) -> None:
    if "nonce" not in claims and not required:
        return
    if not server_nonce.is_valid(claims.get("nonce", ""), now):  # (10)
        raise UseDPoPNonce

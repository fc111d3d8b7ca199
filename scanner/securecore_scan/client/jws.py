"""Forges JWTs and signs DPoP proofs.

A JWT library refuses to make most of these tokens, so this module encodes them itself.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
import warnings
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm


def decode(token: str) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Return header and claims of a JWT without verifying the signature, or None if the token is not a JWT."""
    try:
        header, claims, _ = token.split(".")
        found = json.loads(_decoded(header)), json.loads(_decoded(claims))
    except ValueError:
        return None
    return found if all(isinstance(part, dict) for part in found) else None


def unsigned(header: dict[str, Any], claims: dict[str, Any], *, alg: str = "none") -> str:
    """Return a JWT without a signature, with ``alg`` in its header."""
    return f"{_signing_input({**header, 'alg': alg}, claims)}."


def with_hmac(header: dict[str, Any], claims: dict[str, Any], *, key: bytes) -> str:
    """Return a JWT signed with HS256 by any bytes, such as a public key in PEM."""
    signed = _signing_input({**header, "alg": "HS256"}, claims)
    return f"{signed}.{encoded(hmac.digest(key, signed.encode(), hashlib.sha256))}"


def with_changed_claims(token: str, **changes: Any) -> str:
    """Return ``token`` with changed claims and its old signature."""
    header, claims = decode(token) or ({}, {})
    return f"{_signing_input(header, claims | changes)}.{token.rpartition('.')[2]}"


def signed(header: dict[str, Any], claims: dict[str, Any], *, key: Any) -> str:
    """Return a JWT with a valid signature by the algorithm of ``header``."""
    extra = {name: value for name, value in header.items() if name != "alg"}
    with warnings.catch_warnings():
        # PyJWT warns of short secrets. Here the secret is that of the service under test.
        warnings.simplefilter("ignore")
        return jwt.encode(claims, key, algorithm=header["alg"], headers=extra)


class ProofKey:
    """A key of a DPoP client (RFC 9449)."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._jwk = {
            name: value
            for name, value in json.loads(ECAlgorithm.to_jwk(self._key.public_key())).items()
            if name in ("kty", "crv", "x", "y")
        }

    def proof(self, method: str, url: str, *, access_token: str | None = None, nonce: str | None = None) -> str:
        """Return a new proof for one request."""
        claims = {"jti": secrets.token_hex(16), "htm": method, "htu": url, "iat": int(time.time())}
        if access_token is not None:
            claims["ath"] = encoded(hashlib.sha256(access_token.encode()).digest())
        if nonce is not None:
            claims["nonce"] = nonce
        return jwt.encode(claims, self._key, algorithm="ES256", headers={"typ": "dpop+jwt", "jwk": self._jwk})


def public_pem(jwk: dict[str, Any]) -> bytes:
    """Return a public key of a key set in PEM: the bytes that a confused verifier uses as an HMAC secret."""
    key: Any = jwt.PyJWK(jwk, algorithm=jwk.get("alg")).key
    return bytes(key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo))


def _signing_input(header: dict[str, Any], claims: dict[str, Any]) -> str:
    return ".".join(encoded(json.dumps(part, separators=(",", ":")).encode()) for part in (header, claims))


def encoded(value: bytes) -> str:
    """Return base64url without padding."""
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))

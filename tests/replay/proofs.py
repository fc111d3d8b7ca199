"""The client side of DPoP: keys, and proofs that are right except for one change of a test."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

from securecore.errors import InvalidDPoPProof
from securecore.replay import Proof, verify_proof
from securecore_client.wire.thumbprints import access_token_hash, base64url

NOW = dt.datetime(2026, 5, 4, 12, 0, 0, tzinfo=dt.UTC)
IAT = int(NOW.timestamp())
URL = "https://api.example/v1/orders"
TOKEN = "an.access-token~of/no+meaning="
#: As the value of a member: leave this member out.
ABSENT: Any = object()

#: Names of RFC 9864 and RFC 8037, and PyJWT's name for the algorithm.
PYJWT = {"Ed25519": "EdDSA", "Ed448": "EdDSA"}


class Signer:
    """A client with a key of its own for `alg`."""

    def __init__(self, alg: str, private: Any) -> None:
        self.alg, self.private = alg, private
        self.scheme = jwt.get_algorithm_by_name(PYJWT.get(alg, alg))
        public = private.public_key() if hasattr(private, "public_key") else private
        described = self.scheme.to_jwk(public, as_dict=True)
        self.jwk = {name: value for name, value in described.items() if name != "key_ops"}

    def proof(self, header: dict[str, Any] | None = None, **claims: Any) -> str:
        """A proof for POST to URL with TOKEN at NOW; `header` and `claims` replace members, ABSENT removes them."""
        return self.sign(
            json.dumps(changed({"typ": "dpop+jwt", "alg": self.alg, "jwk": self.jwk}, header or {})),
            json.dumps(changed(CLAIMS, claims)),
        )

    def sign(self, header: str, claims: str) -> str:
        """The compact serialization of texts that need not be JSON."""
        signing_input = f"{base64url(header.encode())}.{base64url(claims.encode())}"
        return f"{signing_input}.{base64url(self.scheme.sign(signing_input.encode(), self.private))}"


CLAIMS = {"jti": "one-of-many", "htm": "POST", "htu": URL, "iat": IAT, "ath": access_token_hash(TOKEN)}

ES256 = Signer("ES256", ec.generate_private_key(ec.SECP256R1()))
ED25519 = Signer("Ed25519", ed25519.Ed25519PrivateKey.generate())
EDDSA = Signer("EdDSA", ED25519.private)
PS256 = Signer("PS256", rsa.generate_private_key(65537, 2048))
RS256 = Signer("RS256", PS256.private)
ACCEPTED = (ES256, ED25519, EDDSA, PS256, RS256)

ES384 = Signer("ES384", ec.generate_private_key(ec.SECP384R1()))
ES256K = Signer("ES256K", ec.generate_private_key(ec.SECP256K1()))
ED448 = Signer("Ed448", ed448.Ed448PrivateKey.generate())
EDDSA_448 = Signer("EdDSA", ED448.private)
RS512 = Signer("RS512", PS256.private)
HS256 = Signer("HS256", b"a secret that everybody knows now")
NOT_ACCEPTED = (ES384, ES256K, ED448, EDDSA_448, RS512, HS256)


def changed(members: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**members, **changes}.items() if value is not ABSENT}


def verify(presented: str | None, **request: Any) -> Proof:
    """Verify for the request of `Signer.proof`; `request` replaces parts of that request."""
    expected = {"method": "POST", "url": URL, "access_token": TOKEN, "now": NOW, "nonce_required": False}
    return verify_proof(presented, **{**expected, **request})


def refuses(presented: str | None, detail: str, **request: Any) -> bool:
    """Return whether the refusal has this reason. Another check could otherwise hide that the
    intended one is missing.
    """
    with pytest.raises(InvalidDPoPProof) as refusal:
        verify(presented, **request)
    return detail in f"{refusal.value.detail} {refusal.value.__cause__}"

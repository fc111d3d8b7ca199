"""RFC 9449 section 4.3, check 7, and every other rule for a `jwk`."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from securecore.errors import InvalidDPoPProof
from securecore_client.wire.thumbprints import base64url
from tests.replay.proofs import ABSENT, ACCEPTED, ED448, ED25519, ES256, ES384, PS256, RS256, Signer, refuses, verify

PRIVATE = ("d", "p", "q", "dp", "dq", "qi", "oth", "k")


class Test7PublicKeyOnly:
    @pytest.mark.parametrize("signer", ACCEPTED, ids=lambda signer: signer.alg)
    @pytest.mark.parametrize("name", PRIVATE)
    def test_7_public_key_only_refuses_private_members(self, signer: Signer, name: str) -> None:
        assert refuses(signer.proof({"jwk": {**signer.jwk, name: "AQAB"}}), "private key")

    def test_7_public_key_only_refuses_a_whole_private_key(self) -> None:
        described = ES256.scheme.to_jwk(ES256.private, as_dict=True)
        assert refuses(ES256.proof({"jwk": described}), "private key")

    @pytest.mark.parametrize("jwk", [ABSENT, None, "", "x", [], 1, [{"kty": "EC"}]])
    def test_7_public_key_only_refuses_what_is_no_key(self, jwk: Any) -> None:
        assert refuses(ES256.proof({"jwk": jwk}), "must be a public key")


@pytest.mark.parametrize(
    ("signer", "jwk"),
    [
        (ES256, {}),
        (ES256, {"keys": [ES256.jwk]}),
        (ES256, ED25519.jwk),
        (ES256, ES384.jwk),
        (ES256, PS256.jwk),
        (ES256, {**ES256.jwk, "crv": "P-384"}),
        (ES256, {**ES256.jwk, "crv": "secp256k1"}),
        (ES256, {**ES256.jwk, "kty": "RSA"}),
        (ES256, {**ES256.jwk, "kty": ["EC"]}),
        (ED25519, ED448.jwk),
        (ED25519, {**ED25519.jwk, "crv": "Ed448"}),
        (ED25519, {**ED25519.jwk, "crv": "X25519"}),
        (RS256, {**RS256.jwk, "n": base64url(b"\xff" * 513)}),
        (RS256, {**RS256.jwk, "n": base64url(b"\0" + b"\xff" * 256)}),
        (RS256, {**RS256.jwk, "e": base64url(b"\0\1\0\1")}),
        (RS256, {**RS256.jwk, "e": base64url(b"\1\0\0\0\1")}),
    ],
)
def test_refuses_a_key_of_another_family_or_size(signer: Signer, jwk: Any) -> None:
    assert refuses(signer.proof({"jwk": jwk}), "no key for this alg")


@pytest.mark.parametrize("bits", [1024, 2047, 2048 - 7])
def test_refuses_a_short_rsa_key(bits: int) -> None:
    assert refuses(Signer("RS256", rsa.generate_private_key(65537, bits)).proof(), "jwk is")


@pytest.mark.parametrize(
    "changes",
    [
        {"x": ES256.jwk["y"]},
        {"x": base64url(b"\xff" * 32)},
        {"x": base64url(b"\0" * 32), "y": base64url(b"\0" * 32)},
        {"x": 1},
        {"y": None},
        {"y": ES256.jwk["y"] + "="},
        {"y": ES256.jwk["y"] + "\n"},
        {"y": "!" + ES256.jwk["y"]},
        {"y": "é" * 43},
    ],
)
def test_refuses_what_is_no_point_or_not_canonical(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidDPoPProof):
        verify(ES256.proof({"jwk": {**ES256.jwk, **changes}}))


@pytest.mark.parametrize("e", [b"\1", b"\2", b"\0", b"\4"])
def test_refuses_an_exponent_that_makes_forging_easy(e: bytes) -> None:
    with pytest.raises(InvalidDPoPProof):
        verify(RS256.proof({"jwk": {**RS256.jwk, "e": base64url(e)}}))


@pytest.mark.parametrize(
    "use",
    [{"use": "enc"}, {"use": None}, {"alg": "ES384"}, {"alg": "RS256"}, {"key_ops": []}, {"key_ops": ["encrypt"]}],
)
def test_refuses_a_key_for_something_else(use: dict[str, Any]) -> None:
    assert refuses(ES256.proof({"jwk": {**ES256.jwk, **use}}), "another use")


def test_a_key_may_name_its_algorithm_either_way() -> None:
    for name in ("EdDSA", "Ed25519"):
        verify(ED25519.proof({"jwk": {**ED25519.jwk, "alg": name}}))

"""The published examples of RFC 9449 and RFC 7638, and the published attacks on signatures."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import jwt
import pytest

from securecore import digests
from securecore.digests import from_base64url
from securecore.errors import InvalidDPoPProof
from securecore.replay import DPOP_ALGORITHMS, Proof
from securecore.replay.proof_key import checked_key, signature_is_good
from securecore_client.wire.thumbprints import access_token_hash
from tests.replay.proofs import NOW, verify
from tests.support import vectors

EXAMPLES = vectors.load("rfc9449.json")
THUMBPRINTS = vectors.load("rfc_thumbprints.json")["thumbprints"]


class TestRfc9449:
    @pytest.mark.parametrize("number", range(3))
    def test_rfc9449_accepts_its_examples(self, number: int) -> None:
        example = EXAMPLES["proofs"][number]
        proof = example_verified(number)
        assert (proof.jkt, proof.jti) == (EXAMPLES["jkt"], example["claims"]["jti"])

    @pytest.mark.parametrize("number", range(3))
    def test_rfc9449_refuses_them_today(self, number: int) -> None:
        with pytest.raises(InvalidDPoPProof):
            example_verified(number, now=NOW)

    def test_rfc9449_hashes_its_access_token(self) -> None:
        assert access_token_hash(EXAMPLES["resource_access_token"]) == EXAMPLES["resource_ath"]

    def test_rfc9449_refuses_its_proof_with_another_token(self) -> None:
        with pytest.raises(InvalidDPoPProof, match="ath"):
            example_verified(2, access_token=EXAMPLES["access_token_jwt"])


def example_verified(number: int, **request: Any) -> Proof:
    example = EXAMPLES["proofs"][number]
    claims = example["claims"]
    made_for = {
        "method": claims["htm"],
        "url": claims["htu"],
        "access_token": EXAMPLES["resource_access_token"] if "ath" in claims else None,
        "now": dt.datetime.fromtimestamp(claims["iat"], dt.UTC),
    }
    return verify(example["proof"], **{**made_for, **request})


def wycheproof() -> list[Any]:
    """Return every published JWS with a public key: the key, the serialization, and whether it is good."""
    found = []
    for name in ("signature", "crypto", "key"):
        for group in vectors.load(f"wycheproof/json_web_{name}_test.json")["testGroups"]:
            keys = group.get("public", {})
            for test in group["tests"] if keys else ():
                key = keys["keys"][0] if "keys" in keys else keys
                names = [name, str(test["tcId"]), test["comment"]]
                found.append(pytest.param(key, test["jws"], test["result"] == "valid", id="-".join(names)))
    return found


def alg_of(jws: Any) -> Any:
    """Return the algorithm in the header; None if the header cannot be read."""
    try:
        return json.loads(from_base64url(jws.partition(".")[0]))["alg"]
    except (ValueError, AttributeError):
        return None


def signature_accepted(jwk: dict[str, Any], jws: str) -> bool:
    """Return securecore's verdict on key, algorithm and signature of a payload that is no set of claims."""
    algorithm, (signing_input, _, signature) = alg_of(jws), jws.rpartition(".")
    try:
        raw, _ = from_base64url(signature), from_base64url(signing_input.partition(".")[2])
        return signature_is_good(raw, of=signing_input.encode(), jwk=checked_key(jwk, algorithm), algorithm=algorithm)
    except (InvalidDPoPProof, ValueError, jwt.PyJWTError):
        return False


@pytest.mark.parametrize(("jwk", "jws", "valid"), wycheproof())
def test_published_signatures(jwk: dict[str, Any], jws: Any, valid: bool) -> None:
    if alg_of(jws) in DPOP_ALGORITHMS:
        assert signature_accepted(jwk, jws) is valid
    with pytest.raises(InvalidDPoPProof):
        verify(jws)


def test_published_signatures_are_there() -> None:
    ours = [case.values for case in wycheproof() if alg_of(case.values[1]) in DPOP_ALGORITHMS]
    assert len(ours) > 300
    assert len([valid for _, _, valid in ours if valid]) >= 15


class TestThumbprint:
    @pytest.mark.parametrize("example", THUMBPRINTS, ids=lambda each: each["rfc"])
    def test_thumbprint_is_that_of_the_published_examples(self, example: dict[str, Any]) -> None:
        assert digests.jwk_thumbprint(example["jwk"]) == example["thumbprint"]

    def test_thumbprint_knows_no_other_kind_of_key(self) -> None:
        with pytest.raises(KeyError):
            digests.jwk_thumbprint({"kty": "oct", "k": "AQAB"})

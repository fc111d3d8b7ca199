"""RFC 9449 section 4.3, check by check; check 7 is in test_dpop_keys."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from securecore import digests
from securecore.errors import InvalidDPoPProof, UseDPoPNonce
from securecore.replay import DPOP_ALGORITHMS, server_nonce
from securecore_client.wire.thumbprints import access_token_hash
from tests.replay.proofs import (
    ABSENT,
    ACCEPTED,
    ED25519,
    EDDSA,
    ES256,
    IAT,
    NOT_ACCEPTED,
    NOW,
    PS256,
    RS256,
    TOKEN,
    URL,
    Signer,
    refuses,
    verify,
)

SECOND = dt.timedelta(seconds=1)


@pytest.mark.parametrize("signer", ACCEPTED, ids=lambda signer: signer.alg)
def test_a_good_proof_is_accepted(signer: Signer) -> None:
    proof = verify(signer.proof(nonce=server_nonce.current(NOW)))
    assert (proof.jti, proof.issued_at, proof.url) == ("one-of-many", NOW, URL)
    assert proof.nonce == server_nonce.current(NOW)
    assert proof.jkt == digests.jwk_thumbprint(signer.jwk)


def test_members_that_nobody_asked_for_are_ignored() -> None:
    described = {**ES256.jwk, "kid": "k", "use": "sig", "alg": "ES256", "ext": True, "key_ops": ["sign"]}
    proof = verify(ES256.proof({"jwk": described, "kid": "k", "extra": {}}, nbf=IAT + 5, extra=[]))
    assert proof.jkt == digests.jwk_thumbprint(ES256.jwk)


class Test1ExactlyOneHeader:
    @pytest.mark.parametrize("presented", [None, ""])
    def test_1_exactly_one_header_refuses_none(self, presented: str | None) -> None:
        assert refuses(presented, "missing")

    @pytest.mark.parametrize("joined", [",", ", "])
    def test_1_exactly_one_header_refuses_two(self, joined: str) -> None:
        assert refuses(joined.join([ES256.proof()] * 2), "exactly one")


class Test2WellFormedJwt:
    @pytest.mark.parametrize("presented", ["x", "a.b", "a.b.c.d", "..", "a.b.", "é.é.é", "a b.c.d", "a.b.c\n", "\x00"])
    def test_2_well_formed_jwt_refuses_what_is_none(self, presented: str) -> None:
        assert refuses(presented, "not a signed JWT")

    def test_2_well_formed_jwt_refuses_what_is_too_long_before_it_reads_it(self) -> None:
        assert refuses(ES256.proof(extra="x" * 6000), "too long")

    def test_2_well_formed_jwt_refuses_another_spelling_of_the_same_bytes(self) -> None:
        """64 bytes leave four spare bits in the last of 86 characters."""
        good = ES256.proof()
        verify(good)
        last = {"A": "B", "Q": "R", "g": "h", "w": "x"}[good[-1]]
        assert refuses(good[:-1] + last, "canonical")

    def test_2_well_formed_jwt_refuses_a_member_that_is_named_twice(self) -> None:
        twice = json.dumps({"typ": "dpop+jwt", "alg": "ES256", "jwk": ES256.jwk})[:-1] + ', "alg": "ES256"}'
        assert refuses(ES256.sign(twice, "{}"), "twice")

    @pytest.mark.parametrize("claims", ["[]", '"text"', "1", "null"])
    def test_2_well_formed_jwt_refuses_claims_that_are_no_object(self, claims: str) -> None:
        header = json.dumps({"typ": "dpop+jwt", "alg": "ES256", "jwk": ES256.jwk})
        assert refuses(ES256.sign(header, claims), "JSON objects")

    @pytest.mark.parametrize("claims", ["", "{", "{'a': 1}", "[" * 3000, '{"iat": ' + "9" * 5000 + "}"])
    def test_2_well_formed_jwt_refuses_claims_that_are_not_json(self, claims: str) -> None:
        with pytest.raises(InvalidDPoPProof):
            verify(ES256.sign(json.dumps({"typ": "dpop+jwt"}), claims))


class Test3RequiredClaims:
    @pytest.mark.parametrize("name", ["jti", "htm", "htu"])
    @pytest.mark.parametrize("value", [ABSENT, None, "", 1, True, ["POST"], {}, "x" * 5000])
    def test_3_required_claims_refuses_a_text_that_is_missing_or_malformed(self, name: str, value: Any) -> None:
        assert refuses(ES256.proof(**{name: value}), f"{name} is missing or malformed")

    @pytest.mark.parametrize("value", [ABSENT, None, "", str(IAT), True, [IAT]])
    def test_3_required_claims_refuses_an_iat_that_is_no_number(self, value: Any) -> None:
        assert refuses(ES256.proof(iat=value), "iat is missing or malformed")

    def test_3_required_claims_refuses_a_jti_that_is_no_text(self) -> None:
        with pytest.raises(InvalidDPoPProof):
            verify(ES256.proof(jti="\ud800" * 20))

    def test_3_required_claims_bounds_the_jti(self) -> None:
        verify(ES256.proof(jti="x" * 256))
        assert refuses(ES256.proof(jti="x" * 257), "jti")


@pytest.mark.parametrize("typ", [ABSENT, None, "", "JWT", "at+jwt", "DPOP+JWT", "application/dpop+jwt", ["dpop+jwt"]])
def test_4_typ_is_dpop_jwt(typ: Any) -> None:
    assert refuses(ES256.proof({"typ": typ}), "typ must be")


class Test5Algorithm:
    @pytest.mark.parametrize("alg", [ABSENT, None, "", "none", "None", "HS256", "es256", "ES512", "Ed448", 1, {}])
    def test_5_algorithm_refuses_what_is_not_allowed(self, alg: Any) -> None:
        assert refuses(ES256.proof({"alg": alg}), "alg must be one of ES256, EdDSA, Ed25519, PS256, RS256")

    @pytest.mark.parametrize("signer", NOT_ACCEPTED, ids=lambda signer: signer.alg)
    def test_5_algorithm_refuses_a_good_signature_of_another_kind(self, signer: Signer) -> None:
        with pytest.raises(InvalidDPoPProof):
            verify(signer.proof())

    def test_5_algorithm_refuses_no_signature(self) -> None:
        unsigned = ES256.proof({"alg": "none"}).rpartition(".")[0]
        assert refuses(f"{unsigned}.", "not a signed JWT")

    @pytest.mark.parametrize("name", ["crit", "b64", "jku", "x5u", "x5c"])
    def test_5_algorithm_refuses_extensions_and_keys_from_elsewhere(self, name: str) -> None:
        assert refuses(ES256.proof({name: ["b64"]}), "header parameter")

    def test_5_algorithm_both_names_of_ed25519_are_one_key(self) -> None:
        assert verify(ED25519.proof()).jkt == verify(EDDSA.proof()).jkt

    def test_5_algorithm_names_them_for_the_challenge(self) -> None:
        assert DPOP_ALGORITHMS == ("ES256", "EdDSA", "Ed25519", "PS256", "RS256")


class Test6Signature:
    @pytest.mark.parametrize("signer", ACCEPTED, ids=lambda signer: signer.alg)
    @pytest.mark.parametrize("position", [0, 40, -40])
    def test_6_signature_refuses_a_changed_one(self, signer: Signer, position: int) -> None:
        signing_input, _, signature = signer.proof().rpartition(".")
        characters = list(signature)
        characters[position] = "A" if characters[position] != "A" else "B"
        assert refuses(f"{signing_input}.{''.join(characters)}", "signature is not")

    def test_6_signature_refuses_changed_claims(self) -> None:
        header, _, signature = ES256.proof().split(".")
        assert refuses(f"{header}.{ES256.proof(jti='another').split('.')[1]}.{signature}", "signature is not")

    def test_6_signature_refuses_the_signature_of_another_key(self) -> None:
        stranger = Signer("RS256", rsa.generate_private_key(65537, 2048))
        assert refuses(stranger.proof({"jwk": RS256.jwk}), "signature is not")

    def test_6_signature_refuses_one_rsa_padding_for_the_other(self) -> None:
        assert refuses(PS256.proof({"alg": "RS256"}), "signature is not")


class Test8Method:
    def test_8_method_refuses_another(self) -> None:
        assert refuses(ES256.proof(), "htm is not", method="GET")

    def test_8_method_refuses_another_case(self) -> None:
        assert refuses(ES256.proof(htm="post"), "htm is not")


class Test9Url:
    @pytest.mark.parametrize("part", ["?a=b", "#top", "?a=b#top", "?"])
    def test_9_url_ignores_query_and_fragment_on_both_sides(self, part: str) -> None:
        verify(ES256.proof(htu=URL + part))
        assert verify(ES256.proof(), url=URL + part).url == URL

    @pytest.mark.parametrize("htu", ["https://other.example/v1/orders", URL + "/", URL[:-1], "HTTPS" + URL[5:] + "%2F"])
    def test_9_url_refuses_another(self, htu: str) -> None:
        assert refuses(ES256.proof(htu=htu), "htu is not")

    @pytest.mark.parametrize("url", ["", "/v1/orders", "ftp://api.example/", "https://u@api.example/", "https://ä/"])
    def test_9_url_refuses_what_is_no_url_even_if_both_say_it(self, url: str) -> None:
        with pytest.raises(InvalidDPoPProof):
            verify(ES256.proof(htu=url), url=url)

    def test_9_url_accepts_another_spelling(self) -> None:
        assert verify(ES256.proof(htu="HTTPS://API.Example:443/v1/./%6Frders")).url == URL


class Test10Nonce:
    def test_10_nonce_wants_one_when_required(self) -> None:
        with pytest.raises(UseDPoPNonce):
            verify(ES256.proof(), nonce_required=True)

    @pytest.mark.parametrize("nonce_required", [False, True])
    def test_10_nonce_wants_one_of_ours(self, nonce_required: bool) -> None:
        verify(ES256.proof(nonce=server_nonce.current(NOW)), nonce_required=nonce_required)
        with pytest.raises(UseDPoPNonce):
            verify(ES256.proof(nonce="somebody-elses"), nonce_required=nonce_required)

    @pytest.mark.parametrize("nonce", [None, "", 1, [], "x" * 257])
    def test_10_nonce_refuses_a_malformed_one(self, nonce: Any) -> None:
        assert refuses(ES256.proof(nonce=nonce), "nonce is missing or malformed")

    def test_10_nonce_tells_ours_only_to_who_holds_the_key(self) -> None:
        header, claims, _ = ES256.proof(nonce="somebody-elses").split(".")
        assert refuses(f"{header}.{claims}.{ES256.proof().split('.')[2]}", "signature is not")


class Test11Time:
    @pytest.mark.parametrize("offset", [-60, -10, 0, 10, 9.5, -59.5])
    def test_11_time_accepts_both_edges(self, offset: float) -> None:
        assert verify(ES256.proof(iat=IAT + offset)).issued_at == NOW + offset * SECOND

    @pytest.mark.parametrize("offset", [-3600, -61, 11, 60, 61, 3600, 10**30, 1e300, -1e300])
    def test_11_time_refuses_what_is_beyond_them(self, offset: float) -> None:
        assert refuses(ES256.proof(iat=IAT + offset), "too far")

    @pytest.mark.parametrize("iat", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "9" * 400, "-0", "0"])
    def test_11_time_refuses_what_is_no_instant(self, iat: str) -> None:
        header = json.dumps({"typ": "dpop+jwt", "alg": "ES256", "jwk": ES256.jwk})
        with pytest.raises(InvalidDPoPProof):
            verify(ES256.sign(header, f'{{"jti": "j", "htm": "POST", "htu": "{URL}", "iat": {iat}}}'))


class Test12AccessToken:
    @pytest.mark.parametrize("ath", [ABSENT, "x", "x" * 43, access_token_hash(TOKEN + "=")])
    def test_12_access_token_refuses_another_or_none(self, ath: Any) -> None:
        assert refuses(ES256.proof(ath=ath), "ath is not")

    @pytest.mark.parametrize("ath", [None, 1, ""])
    def test_12_access_token_refuses_a_malformed_hash(self, ath: Any) -> None:
        assert refuses(ES256.proof(ath=ath), "ath is missing or malformed")

    def test_12_access_token_asks_for_none_at_the_token_endpoint(self) -> None:
        verify(ES256.proof(ath=ABSENT), access_token=None)

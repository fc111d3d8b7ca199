"""Access tokens as values: the issued tokens, and every refused variant."""

from __future__ import annotations

import datetime as dt
import hmac
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from securecore import digests, tokens
from securecore.errors import InvalidToken, Misuse
from securecore.tokens import AccessToken
from tests.support.rsa_keys import rsa_key
from tests.tokens.forge import ABSENT, claims, header, own_key, segment, sign

pytestmark = pytest.mark.django_db

SKEW = 10
P256 = ec.generate_private_key(ec.SECP256R1())
NOT_TEXT = [None, "", 0, 1, True, [], ["x"], {}, {"x": 1}, 1.5]
NOT_A_TIME: list[Any] = [None, "", "1", "never", True, False, [], {}, [1]]


def pem(key: Any) -> str:
    return str(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())


def refused(token: str, now: dt.datetime) -> bool:
    """Return whether a token is refused; any other exception is an error."""
    try:
        tokens.verify(token, now=now)
    except InvalidToken:
        return True
    return False


def issue(now: dt.datetime) -> tuple[str, AccessToken]:
    return tokens.issue(subject="1", client_id="alice", binding="x5t#S256:a thumbprint", now=now)


class TestIssue:
    def test_issue_says_what_rfc_9068_asks_for(self, now: dt.datetime, settings: Any) -> None:
        encoded, _ = issue(now)
        head, payload, _ = encoded.split(".")
        said = jwt.decode(encoded, options={"verify_signature": False})
        assert jwt.get_unverified_header(encoded) == {"typ": "at+jwt", "alg": "ES256", "kid": "test"}
        assert said == {
            "iss": "https://testserver",
            "aud": "https://testserver",
            "sub": "1",
            "client_id": "alice",
            "iat": int(now.timestamp()),
            "exp": int(now.timestamp()) + 300,
            "jti": said["jti"],
            "cnf": {"x5t#S256": "a thumbprint"},
            "epochs": [0, 0],
        }
        assert head
        assert payload

    def test_issue_gives_what_verify_gives(self, now: dt.datetime) -> None:
        encoded, token = issue(now)
        assert tokens.verify(encoded, now=now) == token
        assert token == AccessToken(
            jti=token.jti,
            subject="1",
            client_id="alice",
            issuer="https://testserver",
            issued_at=now.replace(microsecond=0),
            expires_at=now.replace(microsecond=0) + dt.timedelta(minutes=5),
            binding="x5t#S256:a thumbprint",
            certificate="a thumbprint",
        )

    def test_issue_names_every_token_at_random(self, now: dt.datetime) -> None:
        names = {issue(now)[1].jti for _ in range(32)}
        assert len(names) == 32
        assert min(map(len, names)) >= 22

    def test_issue_follows_the_lifetime_in_the_settings(self, now: dt.datetime, settings: Any) -> None:
        settings.SECURECORE = {**settings.SECURECORE, "ACCESS_TOKEN_LIFETIME": 60}
        assert issue(now)[1].expires_at == now.replace(microsecond=0) + dt.timedelta(minutes=1)

    def test_issue_without_a_key_is_a_mistake(self, now: dt.datetime, settings: Any) -> None:
        settings.SECURECORE = {**settings.SECURECORE, "TOKEN_SIGNING_KEYS": []}
        with pytest.raises(Misuse):
            issue(now)

    @pytest.mark.parametrize(
        ("algorithm", "key"),
        [
            ("ES256", pem(P256)),
            ("EdDSA", pem(ed25519.Ed25519PrivateKey.generate())),
            ("EdDSA", pem(ed448.Ed448PrivateKey.generate())),
            ("PS256", pem(rsa_key(2048))),
            ("RS256", pem(rsa_key(2048))),
            ("HS256", "a secret of the tests, at least 32 bytes"),
        ],
    )
    def test_issue_works_with_every_algorithm(self, now: dt.datetime, settings: Any, algorithm: str, key: str) -> None:
        signing_keys = [{"kid": "k", "alg": algorithm, "private_key": key}]
        settings.SECURECORE = {**settings.SECURECORE, "TOKEN_SIGNING_KEYS": signing_keys}
        encoded, token = issue(now)
        assert tokens.verify(encoded, now=now) == token
        assert jwt.get_unverified_header(encoded)["alg"] == algorithm


class TestRotation:
    def test_rotation_signs_with_the_first_and_verifies_with_all(self, now: dt.datetime, settings: Any) -> None:
        old, new = (
            {"kid": kid, "alg": "ES256", "private_key": pem(ec.generate_private_key(ec.SECP256R1()))} for kid in "on"
        )
        configured = settings.SECURECORE
        settings.SECURECORE = {**configured, "TOKEN_SIGNING_KEYS": [old]}
        encoded, token = issue(now)
        settings.SECURECORE = {**configured, "TOKEN_SIGNING_KEYS": [new, old]}
        assert tokens.verify(encoded, now=now) == token
        assert jwt.get_unverified_header(issue(now)[0])["kid"] == "n"
        settings.SECURECORE = {**configured, "TOKEN_SIGNING_KEYS": [new]}
        assert refused(encoded, now)

    def test_rotation_of_a_key_under_the_same_name_refuses_the_old_one(self, now: dt.datetime, settings: Any) -> None:
        encoded, _ = issue(now)
        other = {"kid": "test", "alg": "ES256", "private_key": pem(P256)}
        settings.SECURECORE = {**settings.SECURECORE, "TOKEN_SIGNING_KEYS": [other]}
        assert refused(encoded, now)


class TestVerify:
    def test_verify_accepts_a_good_forgery(self, now: dt.datetime) -> None:
        """Every refusal below is this token with one change."""
        assert tokens.verify(sign(header(), claims(now)), now=now).jti == "a name of its own"

    def test_verify_accepts_the_long_spelling_of_the_type(self, now: dt.datetime) -> None:
        assert not refused(sign(header(typ="application/at+jwt"), claims(now)), now)

    def test_verify_accepts_an_audience_among_others(self, now: dt.datetime) -> None:
        assert not refused(sign(header(), claims(now, aud=["https://other", "https://testserver"])), now)

    @pytest.mark.parametrize("name", ["iss", "aud", "exp", "iat", "sub", "jti", "client_id", "cnf"])
    def test_verify_refuses_a_missing_claim(self, now: dt.datetime, name: str) -> None:
        assert refused(sign(header(), claims(now, **{name: ABSENT})), now)

    @pytest.mark.parametrize("value", NOT_TEXT, ids=repr)
    @pytest.mark.parametrize("name", ["iss", "sub", "jti", "client_id", "cnf"])
    def test_verify_refuses_a_claim_that_is_no_text(self, now: dt.datetime, name: str, value: Any) -> None:
        assert refused(sign(header(), claims(now, **{name: value})), now)

    @pytest.mark.parametrize(
        "issuer",
        ["https://other", "https://testserver/", "https://testserver.example", "HTTPS://TESTSERVER", "https://"],
    )
    def test_verify_refuses_another_issuer(self, now: dt.datetime, issuer: str) -> None:
        assert refused(sign(header(), claims(now, iss=issuer)), now)

    @pytest.mark.parametrize(
        "audience", ["https://other", "https://testserver/", "", [], ["https://other"], [["https://testserver"]], {}, 1]
    )
    def test_verify_refuses_another_audience(self, now: dt.datetime, audience: Any) -> None:
        assert refused(sign(header(), claims(now, aud=audience)), now)

    @pytest.mark.parametrize(
        "typ", [ABSENT, None, "", "JWT", "jwt", "at+jwt ", "dpop+jwt", "logout+jwt", 1, [], ["at+jwt"], {}]
    )
    def test_verify_refuses_another_type(self, now: dt.datetime, typ: Any) -> None:
        assert refused(sign(header(typ=typ), claims(now)), now)

    @pytest.mark.parametrize(
        "kid", [ABSENT, None, "", "Test", "test ", "other", 1, True, ["test"], {"test": 1}, "../test"]
    )
    def test_verify_refuses_an_unknown_key(self, now: dt.datetime, kid: Any) -> None:
        assert refused(sign(header(kid=kid), claims(now)), now)

    @pytest.mark.parametrize(
        "confirmation",
        [
            "a thumbprint",
            {"x5t": "a thumbprint"},
            {"x5t#s256": "a thumbprint"},
            {"x5t#S256": "a thumbprint", "jkt": "a thumbprint"},
            {},
            {"jkt": None},
            {"jkt": ""},
            {"x5t#S256": None},
            {"x5t#S256": ""},
            {"x5t#S256": 1},
            {"x5t#S256": True},
            {"x5t#S256": ["a thumbprint"]},
            {"x5t#S256": {"a thumbprint": 1}},
            [{"x5t#S256": "a thumbprint"}],
            ["x5t#S256"],
        ],
    )
    def test_verify_refuses_a_confirmation_of_another_shape(self, now: dt.datetime, confirmation: Any) -> None:
        assert refused(sign(header(), claims(now, cnf=confirmation)), now)

    @pytest.mark.parametrize("payload", [None, True, 1, "text", [], ["iss"], b"", b"{", b"\xff", b"{}", b"[" * 5_000])
    def test_verify_refuses_what_is_no_set_of_claims(self, now: dt.datetime, payload: Any) -> None:
        assert refused(sign(header(), payload), now)

    @pytest.mark.parametrize(
        "crit", [["exp"], ["b64"], [], "exp", None, ["x5t#S256"], True, {"exp": 1}, ["b64", "exp"]], ids=repr
    )
    def test_verify_refuses_critical_extensions(self, now: dt.datetime, crit: Any) -> None:
        assert refused(sign(header(crit=crit, exp=1), claims(now)), now)

    @pytest.mark.parametrize("b64", [False, None, 0])
    def test_verify_refuses_an_unencoded_payload(self, now: dt.datetime, b64: Any) -> None:
        signing_input = f"{segment(header(b64=b64, crit=['b64']))}."
        payload = json.dumps(claims(now))
        signature = jwt.get_algorithm_by_name("ES256").sign((signing_input + payload).encode(), own_key().private)
        assert refused(f"{signing_input}{payload}.{segment(signature)}", now)
        assert refused(f"{signing_input}.{segment(signature)}", now)


class TestVerifyAlgorithm:
    @pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", "", None, ABSENT, [], ["none"], 0, False])
    @pytest.mark.parametrize("signature", ["", "AAAA", "own"])
    def test_verify_algorithm_refuses_none(self, now: dt.datetime, algorithm: Any, signature: str) -> None:
        token = sign(header(alg=algorithm), claims(now))
        if signature != "own":
            token = token.rpartition(".")[0] + "." + signature
        assert refused(token, now)

    @pytest.mark.parametrize("own_signature", [True, False])
    def test_verify_algorithm_refuses_a_mac_made_with_the_public_key(
        self, now: dt.datetime, own_signature: bool
    ) -> None:
        public = own_key().public
        spellings = [
            public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
            public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).strip(),
            public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
            public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint),
        ]
        for secret in spellings:
            signing_input = f"{segment(header(alg='HS256'))}.{segment(claims(now))}"
            assert refused(f"{signing_input}.{segment(hmac.digest(secret, signing_input.encode(), 'sha256'))}", now)
        assert not own_signature or refused(sign(header(alg="HS256"), claims(now)), now)

    @pytest.mark.parametrize(
        "algorithm", ["ES384", "ES512", "ES256K", "RS256", "PS256", "EdDSA", "HS256", "es256", "ES256 "]
    )
    def test_verify_algorithm_refuses_another_than_the_key_s(self, now: dt.datetime, algorithm: str) -> None:
        assert refused(sign(header(alg=algorithm), claims(now)), now)

    @pytest.mark.parametrize("kid", ["test", "mine", ABSENT])
    def test_verify_algorithm_looks_at_no_key_in_the_header(self, now: dt.datetime, kid: Any) -> None:
        numbers = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(P256.public_key()))
        for extra in (
            {"jwk": numbers},
            {"jku": "https://attacker.example/keys"},
            {"x5u": "https://attacker.example/chain"},
            {"x5c": ["MIIB"]},
            {"jwk": {"kty": "oct", "k": "AAAA"}, "x5t#S256": "a thumbprint"},
        ):
            assert refused(sign(header(kid=kid, **extra), claims(now), key=P256), now)

    def test_verify_algorithm_refuses_a_foreign_key_s_signature(self, now: dt.datetime) -> None:
        assert refused(sign(header(), claims(now), key=P256), now)

    def test_verify_algorithm_refuses_a_signature_in_der(self, now: dt.datetime) -> None:
        from cryptography.hazmat.primitives import hashes

        signing_input = f"{segment(header())}.{segment(claims(now))}"
        der = own_key().private.sign(signing_input.encode(), ec.ECDSA(hashes.SHA256()))
        assert refused(f"{signing_input}.{segment(der)}", now)

    @pytest.mark.parametrize("signature", [b"", b"\0" * 64, b"\xff" * 64, b"\0" * 63, b"\0" * 65, b"\0" * 63 + b"\1"])
    def test_verify_algorithm_refuses_an_empty_signature(self, now: dt.datetime, signature: bytes) -> None:
        assert refused(f"{segment(header())}.{segment(claims(now))}.{segment(signature)}", now)


class TestVerifyTimes:
    @pytest.mark.parametrize(
        ("changed", "accepted"),
        [
            ({"exp": -SKEW + 1}, True),
            ({"exp": -SKEW}, False),
            ({"exp": -SKEW - 1}, False),
            ({"exp": 0}, True),
            ({"exp": 0.5 - SKEW}, True),
            ({"iat": SKEW}, True),
            ({"iat": SKEW + 1}, False),
            ({"iat": SKEW + 0.5}, False),
            ({"nbf": SKEW}, True),
            ({"nbf": SKEW + 1}, False),
            ({"nbf": -100}, True),
            ({"iat": -100_000}, True),
        ],
    )
    def test_verify_times_are_judged_with_one_skew(
        self, now: dt.datetime, changed: dict[str, float], accepted: bool
    ) -> None:
        now = now.replace(microsecond=0)
        instants = {name: now.timestamp() + seconds for name, seconds in changed.items()}
        assert refused(sign(header(), claims(now, **instants)), now) is not accepted

    @pytest.mark.parametrize("value", NOT_A_TIME, ids=repr)
    @pytest.mark.parametrize("name", ["exp", "iat", "nbf"])
    def test_verify_times_are_numbers(self, now: dt.datetime, name: str, value: Any) -> None:
        assert refused(sign(header(), claims(now, **{name: value})), now)

    @pytest.mark.parametrize(
        "number",
        ["NaN", "Infinity", "-Infinity", "1e400", "-1e400", "1e308", "1" * 400, "9" * 5_000, "1e18", "-1", "1e12"],
    )
    @pytest.mark.parametrize("name", ["exp", "iat", "nbf"])
    def test_verify_times_may_be_any_number_without_harm(self, now: dt.datetime, name: str, number: str) -> None:
        payload = json.dumps(claims(now, **{name: "NUMBER"})).replace('"NUMBER"', number)
        token = sign(header(), payload.encode())
        # An `iat` or `nbf` in the far past is no reason to refuse; every other number here is.
        long_ago = number in {"exp": (), "iat": ("-1",), "nbf": ("-1", "-Infinity", "-1e400")}[name]
        assert refused(token, now) is not long_ago

    @pytest.mark.parametrize("exponent", range(9, 40))
    def test_verify_times_may_be_far_away(self, now: dt.datetime, exponent: int) -> None:
        refused(sign(header(), claims(now, exp=10**exponent)), now)
        refused(sign(header(), claims(now, exp=float(10**exponent))), now)


class TestVerifyText:
    @pytest.mark.parametrize(
        "token",
        [
            "",
            ".",
            "..",
            "...",
            "a.b",
            "a.b.c",
            "a.b.c.d",
            "\0",
            "\xff.\xff.\xff",
            "\u2603.\u2603.\u2603",
            "Bearer x.y.z",
            "e30.e30.",
            "bnVsbA.bnVsbA.bnVsbA",
            "." * 8_192,
            "a" * 8_193,
            "eyJ" + "a" * 1_000_000,
        ],
    )
    def test_verify_text_refuses_garbage(self, now: dt.datetime, token: str) -> None:
        assert refused(token, now)

    @pytest.mark.parametrize(
        "head", [b'{"a":' + b"[" * 5_000, b'{"alg":' * 900, b'{"kid":' + b"1" * 5_000 + b"}", b"\xff\xfe{"]
    )
    def test_verify_text_refuses_a_header_that_breaks_parsers(self, now: dt.datetime, head: bytes) -> None:
        assert refused(sign(head, claims(now)), now)

    def test_verify_text_refuses_what_is_too_long_to_be_ours(self, now: dt.datetime) -> None:
        assert not refused(sign(header(), claims(now, more="x" * 5_000)), now)
        assert refused(sign(header(), claims(now, more="x" * 8_000)), now)

    @pytest.mark.parametrize("part", [0, 1, 2])
    @pytest.mark.parametrize("padding", ["=", "==", "===", "%3D", " ", "\n", "A", "+", "/"])
    def test_verify_text_of_another_spelling_is_the_same_token_or_none(
        self, now: dt.datetime, part: int, padding: str
    ) -> None:
        """Base64 has several spellings of the same bytes. Each accepted spelling must carry the `jti` that a revocation
        names.
        """
        encoded, token = issue(now)
        parts = encoded.split(".")
        parts[part] += padding
        spelt = ".".join(parts)
        assert refused(spelt, now) or tokens.verify(spelt, now=now).jti == token.jti

    def test_verify_text_takes_the_last_of_doubled_claims_as_everybody_does(self, now: dt.datetime) -> None:
        payload = json.dumps(claims(now))[:-1] + ', "jti": "the last"}'
        assert tokens.verify(sign(header(), payload.encode()), now=now).jti == "the last"


class TestRevocationId:
    def test_revocation_id_is_of_issuer_and_name(self) -> None:
        ids = {
            tokens.revocation_id(issuer=issuer, jti=jti)
            for issuer, jti in [("a", "bc"), ("ab", "c"), ("", "abc"), ("abc", ""), ("a", "b"), ("b", "a")]
        }
        assert len(ids) == 6
        assert tokens.revocation_id(issuer="a", jti="b") == digests.record_id("jti", "a", "b")


class TestSigningKey:
    def test_signing_key_keeps_its_secret_to_itself(self) -> None:
        key = own_key()
        assert repr(key) == "SigningKey(kid='test', algorithm='ES256', is_stored=False)"

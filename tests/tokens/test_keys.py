"""Signing keys: replaced without a gap, retired without a delay, and stored encrypted."""

from __future__ import annotations

import base64
import datetime as dt
import io
import json
import re
from typing import Any

import jwt
import pytest
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db import connection

from securecore import clock, encryption, tokens
from securecore.errors import InvalidToken, Misuse
from securecore.events import KeyRetired
from securecore.revocation import retire_key
from securecore.testing import MutualTLSClient
from securecore.tokens import SigningKey, keys
from tests.events.recorder import of_kind, recorded
from tests.support.rsa_keys import rsa_key
from tests.tokens.calls import get, given, post, works
from tests.tokens.forge import claims, segment

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.tokens.urls")]

SECOND = dt.timedelta(seconds=1)
LIFETIME, SKEW, LEAD = 300, 10, 600
PRIVATE_MEMBERS = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}
STORED_ALGORITHMS = ["ES256", "EdDSA", "PS256", "RS256"]


def pem(key: Any) -> str:
    return str(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())


def rotate(now: dt.datetime, *, lead: int = 0, algorithm: str = "ES256") -> str:
    return keys.rotate(algorithm=algorithm, lead=lead, now=now)


def issue(now: dt.datetime) -> str:
    return tokens.issue(subject="1", client_id="alice", binding="x5t#S256:a thumbprint", now=now)[0]


def signer(now: dt.datetime) -> str:
    """Return the key id that signs at `now`, as the header of a token names it."""
    return str(jwt.get_unverified_header(issue(now))["kid"])


def accepted(token: str, now: dt.datetime) -> bool:
    try:
        tokens.verify(token, now=now)
    except InvalidToken:
        return False
    return True


@pytest.mark.usefixtures("encryption_key")
class TestRotate:
    @pytest.mark.parametrize("algorithm", STORED_ALGORITHMS)
    def test_rotate_signs_and_verifies(self, now: dt.datetime, algorithm: str) -> None:
        kid = rotate(now, algorithm=algorithm)
        token = issue(now)
        assert jwt.get_unverified_header(token) == {"typ": "at+jwt", "alg": algorithm, "kid": kid}
        assert tokens.verify(token, now=now).stored_key == kid

    def test_rotate_prefers_a_stored_key_to_the_settings(self, now: dt.datetime) -> None:
        before = issue(now)
        assert signer(now) == "test"
        assert signer(now) != rotate(now) == signer(now)
        assert accepted(before, now)

    def test_rotate_waits_for_its_lead(self, now: dt.datetime) -> None:
        old, new = rotate(now), rotate(now, lead=LEAD)
        assert signer(now) == old
        assert signer(now + (LEAD - 1) * SECOND) == old
        assert signer(now + LEAD * SECOND) == new

    def test_rotate_of_the_first_key_needs_no_lead(self, now: dt.datetime) -> None:
        assert rotate(now, lead=LEAD) == signer(now)

    def test_rotate_publishes_a_key_before_it_signs(self, now: dt.datetime) -> None:
        old, new = rotate(now), rotate(now, lead=LEAD)
        assert {key["kid"] for key in keys.public_jwks(now)["keys"]} == {"test", old, new}

    def test_rotate_invalidates_no_token(self, now: dt.datetime) -> None:
        """A token that the old key signed at its last moment, on a host that is late, is good until it expires."""
        rotate(now)
        rotate(now, lead=LEAD)
        late = now.replace(microsecond=0) + (LEAD + SKEW - 1) * SECOND
        last = jwt.encode(claims(late), signing(now).private, "ES256", {"typ": "at+jwt", "kid": signing(now).kid})
        assert accepted(last, late)
        assert accepted(last, late + LIFETIME * SECOND)
        assert not accepted(last, late + (LIFETIME + SKEW) * SECOND)

    def test_rotate_forgets_the_old_key_in_the_end(self, now: dt.datetime) -> None:
        old, new = rotate(now), rotate(now, lead=LEAD)
        later = now + (LEAD + LIFETIME + 2 * SKEW + 1) * SECOND
        assert {key["kid"] for key in keys.public_jwks(later)["keys"]} == {"test", new}
        assert keys.verification_key(old, later) is None

    @pytest.mark.parametrize("leads", [(600, 600), (600, 300), (600, 0), (0, 600), (0, 0), (300, 600)])
    @pytest.mark.parametrize("pause", [1, 200, 700])
    def test_rotate_twice_leaves_no_gap_and_skips_no_lead(self, now: dt.datetime, leads: Any, pause: int) -> None:
        """The key that signs at any instant was published for its lead time, and verifies for the lifetime of its
        tokens.
        """
        published = {rotate(now): now - dt.timedelta(days=1)}
        published[rotate(now, lead=leads[0])] = now
        again = now + pause * SECOND
        newest = rotate(again, lead=leads[1])
        published[newest] = again
        allowed = dict(zip(published, (0, *leads), strict=True))
        for seconds in range(0, 2_500, 50):
            at = again + seconds * SECOND
            token = issue(at)
            kid = signer(at)
            assert accepted(token, at + (LIFETIME + SKEW - 1) * SECOND)
            assert at >= published[kid] + allowed[kid] * SECOND
        assert signer(again + leads[1] * SECOND) == newest

    def test_rotate_of_an_unknown_algorithm_is_a_mistake(self, now: dt.datetime) -> None:
        for algorithm in ("HS256", "none", "ES512", ""):
            with pytest.raises(Misuse, match="ES256"):
                rotate(now, algorithm=algorithm)
        assert not SigningKey.objects.exists()


def signing(now: dt.datetime) -> keys.SigningKey:
    return keys.signing_key(now)


@pytest.mark.usefixtures("encryption_key")
class TestRetire:
    def test_retire_is_in_effect_at_once(self, client: MutualTLSClient, now: dt.datetime) -> None:
        old = rotate(now)
        token = given(client)["access_token"]
        assert works(client, token)
        rotate(now)
        assert works(client, token)  # and this process now has the key in its cache
        with recorded() as events:
            assert retire_key(old) is True
        assert not works(client, token)
        assert of_kind(events, KeyRetired) == [KeyRetired(kid=old)]
        assert works(client, given(client)["access_token"])

    def test_retire_reaches_a_worker_that_has_just_verified(self, client: MutualTLSClient, now: dt.datetime) -> None:
        """The SELECT that reads the user judges the key too, also if the worker has the key in its cache."""
        from securecore import caller

        kid = rotate(now)
        token = tokens.verify(given(client)["access_token"], now=clock.now())
        assert caller.user_of_token(token, now=clock.now()).username == "alice"
        retire_key(kid)
        with pytest.raises(InvalidToken):
            caller.user_of_token(token, now=clock.now())

    def test_retire_is_in_effect_on_a_host_with_a_slow_clock(self, now: dt.datetime) -> None:
        kid = rotate(now - LEAD * SECOND)
        token = issue(now)
        retire_key(kid)
        assert not accepted(token, now - (SKEW - 1) * SECOND)
        assert keys.public_jwks(now - (SKEW - 1) * SECOND)["keys"][0]["kid"] == "test"
        assert len(keys.public_jwks(now - (SKEW - 1) * SECOND)["keys"]) == 1

    def test_retire_of_the_newest_lets_the_key_before_it_sign(self, now: dt.datetime) -> None:
        old, new = rotate(now - SECOND), rotate(now)
        assert signer(now) == new
        retire_key(new)
        assert signer(clock.now()) == old

    def test_retire_of_all_lets_the_settings_sign(self, now: dt.datetime) -> None:
        retire_key(rotate(now))
        assert signer(clock.now()) == "test"

    def test_retire_is_news_once(self, now: dt.datetime) -> None:
        kid = rotate(now)
        with recorded() as events:
            assert [retire_key(kid), retire_key(kid), retire_key("unknown"), retire_key("test")] == [
                True,
                False,
                False,
                False,
            ]
        assert len(of_kind(events, KeyRetired)) == 1

    def test_retire_refuses_no_other_key_s_tokens(self, now: dt.datetime) -> None:
        rotate(now)
        token = issue(now)
        retire_key(rotate(now))
        assert accepted(token, clock.now())


class TestSecrecy:
    @pytest.mark.parametrize("algorithm", STORED_ALGORITHMS)
    def test_secrecy_no_column_of_the_database_holds_a_private_key(
        self, encryption_key: str, now: dt.datetime, algorithm: str
    ) -> None:
        rotate(now, algorithm=algorithm)
        key = signing(now).private
        traces = {"PRIVATE KEY", encryption_key, pem(key), "".join(pem(key).splitlines()[1:-1])}
        der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        traces |= {base64.b64encode(der).decode(), base64.urlsafe_b64encode(der).decode(), der.hex(), str(der)}
        numbers = jwt.get_algorithm_by_name(algorithm).to_jwk(key, as_dict=True)
        traces |= {numbers[name] for name in PRIVATE_MEMBERS & numbers.keys()}
        stored = everything_in_the_database()
        assert signing(now).kid in stored
        assert not [trace for trace in traces if trace in stored]

    def test_secrecy_is_kept_by_repr(self, encryption_key: str, now: dt.datetime) -> None:
        kid = rotate(now)
        assert repr(signing(now)) == f"SigningKey(kid='{kid}', algorithm='ES256', is_stored=True)"
        assert "encrypted" not in str(SigningKey.objects.get())


def everything_in_the_database() -> str:
    found = []
    with connection.cursor() as cursor:
        for model in apps.get_models():
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(model._meta.db_table)}")
            found += [str([bytes(each) if isinstance(each, memoryview) else each for each in row]) for row in cursor]
    return "\n".join(found)


class TestEncryption:
    def test_encryption_with_rotated_keys_reads_what_the_older_one_wrote(
        self, encryption_key: str, configure: Any, now: dt.datetime
    ) -> None:
        old = rotate(now)
        token = issue(now)
        newer = Fernet.generate_key().decode()
        configure(ENCRYPTION_KEYS=[newer, encryption_key])
        assert accepted(token, now)
        new = rotate(now)
        for kid, key in ((new, newer), (old, encryption_key)):
            sealed = SigningKey.objects.get(pk=kid).encrypted_private_key.encode()
            assert b"PRIVATE KEY" in encryption.decrypt(sealed, purpose="signing key", keys=(key,))

    @pytest.mark.parametrize("others", [0, 1, 2])
    def test_encryption_without_the_right_key_teaches(
        self, encryption_key: str, configure: Any, now: dt.datetime, others: int
    ) -> None:
        kid = rotate(now)
        token = issue(now)
        configure(ENCRYPTION_KEYS=[Fernet.generate_key().decode() for _ in range(others)])
        for use in (lambda: issue(now), lambda: accepted(token, now), lambda: keys.public_jwks(now)):
            with pytest.raises(Misuse, match=f"{re.escape(kid)}.*ENCRYPTION_KEYS"):
                use()

    def test_encryption_without_a_key_makes_none(self, now: dt.datetime) -> None:
        with pytest.raises(Misuse, match=r"ENCRYPTION_KEYS.*Fernet"):
            rotate(now)
        assert not SigningKey.objects.exists()

    def test_encryption_refuses_a_row_that_was_tampered_with(self, encryption_key: str, now: dt.datetime) -> None:
        rotate(now)
        row = SigningKey.objects.get()
        SigningKey.objects.update(encrypted_private_key=row.encrypted_private_key[:-8] + "AAAAAAA=")
        with pytest.raises(Misuse):
            issue(now)


class TestAlgorithms:
    CONFIGURED = (
        ("ES256", pem(ec.generate_private_key(ec.SECP256R1()))),
        ("EdDSA", pem(ed25519.Ed25519PrivateKey.generate())),
        ("PS256", pem(rsa_key(2048))),
        ("RS256", pem(rsa_key(2048))),
        ("HS256", "a secret of the tests, at least 32 bytes"),
    )

    @pytest.mark.parametrize(("algorithm", "private_key"), CONFIGURED, ids=lambda value: value[:5])
    def test_algorithms_publish_no_secret(self, client: Any, configure: Any, algorithm: str, private_key: str) -> None:
        configure(TOKEN_SIGNING_KEYS=[{"kid": "k", "alg": algorithm, "private_key": private_key}])
        answer = client.get("/oauth/jwks")
        published = answer.json()["keys"]
        assert len(published) == (algorithm != "HS256")
        for jwk in published:
            assert (jwk["kid"], jwk["alg"], jwk["use"]) == ("k", algorithm, "sig")
            assert not PRIVATE_MEMBERS & jwk.keys()
            assert jwk["kty"] in ("EC", "OKP", "RSA")
        secret = private_key if algorithm == "HS256" else "".join(private_key.splitlines()[1:-1])
        assert secret not in answer.content.decode()

    @pytest.mark.parametrize(("algorithm", "private_key"), CONFIGURED[:-1], ids=lambda value: value[:5])
    def test_algorithms_verify_with_what_is_published(
        self, client: Any, configure: Any, now: dt.datetime, algorithm: str, private_key: str
    ) -> None:
        configure(TOKEN_SIGNING_KEYS=[{"kid": "k", "alg": algorithm, "private_key": private_key}])
        published = jwt.PyJWK(client.get("/oauth/jwks").json()["keys"][0])
        audience = "https://testserver"
        assert jwt.decode(issue(now), published, algorithms=[algorithm], audience=audience)["sub"] == "1"

    @pytest.mark.parametrize("algorithm", STORED_ALGORITHMS)
    @pytest.mark.usefixtures("encryption_key")
    def test_algorithms_of_stored_keys_publish_no_secret(self, client: Any, now: dt.datetime, algorithm: str) -> None:
        kid = rotate(now, algorithm=algorithm)
        published = {jwk["kid"]: jwk for jwk in client.get("/oauth/jwks").json()["keys"]}
        assert published.keys() == {"test", kid}
        assert not PRIVATE_MEMBERS & published[kid].keys()
        assert published[kid]["alg"] == algorithm

    @pytest.mark.parametrize("name", ["EdDSA", "Ed25519"])
    def test_algorithms_of_ed25519_has_two_names(self, configure: Any, now: dt.datetime, name: str) -> None:
        """RFC 9864 section 2.2."""
        key = ed25519.Ed25519PrivateKey.generate()
        configure(TOKEN_SIGNING_KEYS=[{"kid": "k", "alg": "EdDSA", "private_key": pem(key)}])
        signing_input = f"{segment({'typ': 'at+jwt', 'alg': name, 'kid': 'k'})}.{segment(claims(now))}"
        good = f"{signing_input}.{segment(key.sign(signing_input.encode()))}"
        assert accepted(good, now)
        assert not accepted(good[:-6] + "AAAAAA", now)

    @pytest.mark.parametrize("name", ["Ed25519", "EdDSA", "Ed448"])
    def test_algorithms_of_another_key_do_not_have_that_name(self, now: dt.datetime, name: str) -> None:
        signing_input = f"{segment({'typ': 'at+jwt', 'alg': name, 'kid': 'test'})}.{segment(claims(now))}"
        signature = jwt.get_algorithm_by_name("ES256").sign(signing_input.encode(), signing(now).private)
        assert not accepted(f"{signing_input}.{segment(signature)}", now)


class TestKid:
    @pytest.mark.parametrize("kid", ["", "x" * 65, "x" * 100_000, "\0", "\ud800", "' OR 1=1 --", "%", "\u2603"])
    def test_kid_that_is_nobody_s_is_refused(self, now: dt.datetime, kid: str) -> None:
        assert not accepted(forged(now, kid), now)

    @pytest.mark.parametrize("kid", [None, 1, True, [], {}, ["test"]])
    def test_kid_that_is_no_text_is_refused(self, now: dt.datetime, kid: Any) -> None:
        assert keys.verification_key(kid, now) is None

    def test_kid_of_the_settings_may_be_long(self, configure: Any, settings: Any, now: dt.datetime) -> None:
        key = {**settings.SECURECORE["TOKEN_SIGNING_KEYS"][0], "kid": "k" * 100}
        configure(TOKEN_SIGNING_KEYS=[key])
        assert accepted(issue(now), now)


def forged(now: dt.datetime, kid: str) -> str:
    return jwt.encode(claims(now), signing(now).private, "ES256", {"typ": "at+jwt", "kid": kid})


class TestCommand:
    def run(self, *arguments: str) -> str:
        out = io.StringIO()
        call_command("securecore_keys", *arguments, stdout=out)
        return out.getvalue()

    @pytest.mark.usefixtures("encryption_key")
    def test_command_lists_rotates_and_retires(self) -> None:
        assert re.fullmatch(r"\* test +ES256 +in settings\n", self.run("list"))
        kid = str(re.findall(r"Made (\S+)\.", self.run("rotate", "--algorithm", "EdDSA"))[0])
        assert re.search(rf"^\* {kid} +EdDSA +no successor yet$", self.run("list"), re.MULTILINE)
        assert re.search(r"^  test ", self.run("list"), re.MULTILINE)
        newer = str(re.findall(r"Made (\S+)\.", self.run("rotate"))[0])
        listed = self.run("list")
        assert re.search(rf"^\* {kid} .*verifies until", listed, re.MULTILINE)
        assert re.search(rf"^  {newer} +ES256 +signs from .*, no successor yet$", listed, re.MULTILINE)
        assert "No token of this key" in self.run("retire", kid, "--yes")
        assert kid not in self.run("list")

    @pytest.mark.usefixtures("encryption_key")
    def test_command_every_name_can_be_typed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("secrets.token_bytes", lambda size: b"\xf8" * size)  # in base64url "-Pj4..."
        kid = str(re.findall(r"Made (\S+)\.", self.run("rotate"))[0])
        self.run("retire", kid, "--yes")
        assert kid not in self.run("list")

    @pytest.mark.usefixtures("encryption_key")
    @pytest.mark.parametrize("kid", ["unknown", "test", ""])
    def test_command_retires_no_key_that_there_is_not(self, kid: str) -> None:
        with pytest.raises(CommandError, match=r"no key|kid is empty"):
            self.run("retire", kid)

    @pytest.mark.usefixtures("encryption_key")
    def test_command_teaches_how_to_retire_a_key_of_the_settings(self) -> None:
        with pytest.raises(CommandError, match="remove it from SECURECORE"):
            self.run("retire", "test")

    def test_command_teaches_how_to_encrypt(self) -> None:
        with pytest.raises(CommandError, match="ENCRYPTION_KEYS"):
            self.run("rotate")

    def test_command_teaches_how_to_get_a_key(self, configure: Any) -> None:
        configure(TOKEN_SIGNING_KEYS=[])
        with pytest.raises(CommandError, match="securecore_keys rotate"):
            self.run("list")

    @pytest.mark.usefixtures("encryption_key")
    def test_command_teaches_how_to_decrypt(self, configure: Any) -> None:
        self.run("rotate")
        configure(ENCRYPTION_KEYS=[])
        with pytest.raises(CommandError, match="ENCRYPTION_KEYS"):
            self.run("list")

    @pytest.mark.parametrize(
        "arguments", [(), ("lose",), ("rotate", "--algorithm", "HS256"), ("rotate", "--lead", "x")]
    )
    def test_command_refuses_other_verbs(self, arguments: tuple[str, ...]) -> None:
        with pytest.raises(CommandError):
            self.run(*arguments)


@pytest.mark.usefixtures("encryption_key")
def test_no_key_is_asked_for_by_who_shows_no_good_kid(client: Any, django_assert_num_queries: Any) -> None:
    rotate(clock.now())
    with django_assert_num_queries(2):  # the certificate and its user; the kid
        assert get(client, f"{segment({'alg': 'ES256', 'kid': 'x', 'typ': 'at+jwt'})}.e30.AA").status_code == 401


@pytest.mark.usefixtures("encryption_key")
@pytest.mark.parametrize("missing", ["TOKEN_ISSUER", "TOKEN_AUDIENCE"])
def test_issuer_and_audience_are_asked_for_with_stored_keys_too(configure: Any, now: dt.datetime, missing: str) -> None:
    rotate(now)
    configure(TOKEN_SIGNING_KEYS=[], **{missing: ""})
    for use in (rotate, issue):
        with pytest.raises(Misuse, match=missing):
            use(now)


@pytest.mark.parametrize("key", ["", "short", "x" * 44, "x" * 43, None, 1, b"x"])
def test_encryption_keys_are_checked_at_the_start(configure: Any, key: Any) -> None:
    from django.core.exceptions import ImproperlyConfigured

    from securecore import conf

    with pytest.raises(ImproperlyConfigured, match=r"ENCRYPTION_KEYS.*generate_key") as refusal:
        configure(ENCRYPTION_KEYS=[key])
        conf.load()
    assert not key or str(key) not in str(refusal.value).replace("E001", "")


def test_key_set_may_be_cached_but_not_for_long(client: Any) -> None:
    answer = client.get("/oauth/jwks")
    assert answer["Content-Type"] == "application/jwk-set+json"
    assert answer["Cache-Control"] == "public, max-age=300"
    assert json.loads(answer.content)["keys"][0]["kid"] == "test"
    assert post(client, "", "/oauth/jwks").status_code == 405

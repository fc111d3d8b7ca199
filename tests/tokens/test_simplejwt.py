"""Tokens that djangorestframework-simplejwt itself issued, accepted during a migration, and revocable."""

from __future__ import annotations

import contextlib
import datetime as dt
import hmac
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from django.contrib.auth.models import User
from django.core.management import call_command
from rest_framework_simplejwt.state import token_backend
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken, SlidingToken

from securecore import clock, tokens
from securecore.errors import InvalidToken
from securecore.events import SimpleJWTAccepted
from securecore.grants import principal_of
from securecore.models import Lockout
from securecore.revocation import revoke_client_tokens, revoke_token, revoke_tokens_before, revoke_user_tokens
from securecore.testing import MutualTLSClient
from securecore.tokens import simplejwt
from tests.admin.operator import Operator
from tests.events.recorder import of_kind, recorded
from tests.tokens.calls import get, given, works
from tests.tokens.forge import segment

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.tokens.urls")]

#: Simplejwt signs with SECRET_KEY by default.
KEY = "the old service's secret, which is long enough for HS512: 64 bytes at least"
SECOND = dt.timedelta(seconds=1)


@pytest.fixture(autouse=True)
def old_service(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Simplejwt with the same key as securecore."""
    monkeypatch.setattr(token_backend, "signing_key", KEY)
    monkeypatch.setattr(token_backend, "prepared_signing_key", KEY, raising=False)
    settings.SIMPLE_JWT = {"SIGNING_KEY": KEY}


@pytest.fixture
def alice() -> User:
    return User.objects.create(username="alice")


@pytest.fixture
def anybody() -> MutualTLSClient:
    """A client without a certificate, like the clients of the old service."""
    return MutualTLSClient()


def works_there(client: MutualTLSClient, token: str) -> bool:
    return works(client, token, path="/migration")


def resigned(token: str, key: str = KEY, algorithm: str = "HS256", **changed: Any) -> str:
    said = jwt.decode(token, options={"verify_signature": False}) | changed
    return jwt.encode({name: value for name, value in said.items() if value is not None}, key, algorithm)


class TestAccess:
    def test_access_is_accepted_without_a_certificate(self, anybody: MutualTLSClient, alice: User) -> None:
        token = str(AccessToken.for_user(alice))
        answer = get(anybody, token, "/migration")
        assert (answer.status_code, answer.json()) == (200, {"user": "alice", "auth": "AccessToken"})

    def test_access_is_reported_so_that_an_operator_sees_who_still_uses_it(
        self, anybody: MutualTLSClient, mtls_client: Callable[..., MutualTLSClient], alice: User
    ) -> None:
        token = AccessToken.for_user(alice)
        mtls_client("bob")
        with recorded() as events:
            assert works_there(anybody, str(token))
            assert get(mtls_client("bob"), str(token), "/migration").json()["code"] == "credentials-conflict"
            assert not works_there(anybody, str(token)[:-8] + "AAAAAAAA")
        reported = of_kind(events, SimpleJWTAccepted)
        assert [(each.user, each.jti, each.path) for each in reported] == [
            (principal_of(alice), token["jti"], "/migration")
        ]

    def test_access_says_what_a_revocation_needs(self, alice: User) -> None:
        made = RefreshToken.for_user(alice).access_token
        token = simplejwt.verify(str(made), now=clock.now())
        assert (token.jti, token.subject, token.issuer) == (made["jti"], str(alice.pk), simplejwt.ISSUER)
        assert int(token.expires_at.timestamp()) == made["exp"]
        assert token.binding == ""

    @pytest.mark.parametrize("kind", [RefreshToken, SlidingToken])
    def test_access_is_not_another_kind_of_token(self, anybody: MutualTLSClient, alice: User, kind: Any) -> None:
        assert not works_there(anybody, str(kind.for_user(alice)))

    def test_access_is_not_accepted_where_no_key_is_set(
        self, anybody: MutualTLSClient, alice: User, settings: Any
    ) -> None:
        token = str(AccessToken.for_user(alice))
        settings.SIMPLE_JWT = {"SIGNING_KEY": ""}
        assert not works_there(anybody, token)
        signing_input = token.rpartition(".")[0]
        unkeyed = hmac.digest(b"", signing_input.encode(), "sha256")
        assert not works_there(anybody, f"{signing_input}.{segment(unkeyed)}")

    def test_access_is_not_accepted_by_views_for_bound_tokens(self, client: MutualTLSClient) -> None:
        token = str(AccessToken.for_user(User.objects.get(username="alice")))
        for path in ("/both", "/token-only", "/protected"):
            assert not works(client, token, path=path)

    def test_access_with_an_algorithm_of_public_keys_is_verified_with_the_public_one(
        self, anybody: MutualTLSClient, alice: User, settings: Any
    ) -> None:
        private = rsa.generate_private_key(65537, 2048)
        public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
        pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        settings.SIMPLE_JWT = {"VERIFYING_KEY": public, "ALGORITHM": "RS256"}
        token = str(AccessToken.for_user(alice))
        assert works_there(anybody, resigned(token, pem, "RS256"))
        assert not works_there(anybody, token)
        payload = segment(jwt.decode(token, options={"verify_signature": False}))
        signing_input = f"{segment({'alg': 'HS256', 'typ': 'JWT'})}.{payload}"
        confused = hmac.digest(public.encode(), signing_input.encode(), "sha256")
        assert not works_there(anybody, f"{signing_input}.{segment(confused)}")

    def test_access_follows_the_user_id_claim(self, anybody: MutualTLSClient, alice: User, settings: Any) -> None:
        token = str(AccessToken.for_user(alice))
        other = resigned(token, user_id=None, sub=str(alice.pk))
        assert not works_there(anybody, other)
        settings.SIMPLE_JWT |= {"USER_ID_CLAIM": "sub"}
        assert works_there(anybody, other)


class TestRefusal:
    @pytest.mark.parametrize("key", ["another secret that has at least 32 bytes too", KEY + "x", KEY.upper()])
    def test_refusal_of_another_key(self, anybody: MutualTLSClient, alice: User, key: str) -> None:
        assert not works_there(anybody, resigned(str(AccessToken.for_user(alice)), key))

    @pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "HS384", "HS512", "RS256", "", None, 0])
    def test_refusal_of_another_algorithm(self, anybody: MutualTLSClient, alice: User, algorithm: Any) -> None:
        token = str(AccessToken.for_user(alice))
        _, payload, signature = token.split(".")
        head = segment({"alg": algorithm, "typ": "JWT"})
        for end in ("", signature, "AAAA"):
            assert not works_there(anybody, f"{head}.{payload}.{end}")
        if algorithm in ("HS384", "HS512"):
            assert not works_there(anybody, resigned(token, KEY, str(algorithm)))

    @pytest.mark.parametrize(
        "changed",
        [
            {"token_type": "refresh"},
            {"token_type": "Access"},
            {"token_type": None},
            {"token_type": ["access"]},
            {"jti": None},
            {"jti": ""},
            {"exp": None},
            {"exp": 1},
            {"exp": "never"},
            {"exp": True},
            {"nbf": 10**11},
            {"iat": 10**11},
            {"user_id": None},
            {"user_id": "nobody"},
            {"user_id": 10**30},
            {"user_id": []},
            {"user_id": "\0"},
            {"exp": 10**30},
            {"exp": float("nan")},
        ],
        ids=repr,
    )
    def test_refusal_of_other_claims(self, anybody: MutualTLSClient, alice: User, changed: dict[str, Any]) -> None:
        assert not works_there(anybody, resigned(str(AccessToken.for_user(alice)), **changed))

    @pytest.mark.parametrize("token", ["", "x", "a.b.c", "." * 9_000, "eyJ.eyJ.eyJ", "\xff"])
    def test_refusal_of_nonsense(self, anybody: MutualTLSClient, token: str) -> None:
        assert not works_there(anybody, token)

    @pytest.mark.parametrize("end", ["deactivated", "deleted"])
    def test_refusal_of_a_user_who_is_gone(self, anybody: MutualTLSClient, alice: User, end: str) -> None:
        token = str(AccessToken.for_user(alice))
        if end == "deleted":
            alice.delete()
        else:
            User.objects.update(is_active=False)
        assert not works_there(anybody, token)

    def test_refusal_is_the_one_of_every_token(self, anybody: MutualTLSClient) -> None:
        answer = get(anybody, "x", "/migration")
        assert answer["WWW-Authenticate"] == 'Bearer realm="api", error="invalid_token"'
        assert answer.json()["code"] == "invalid-token"


class TestTimes:
    def test_times_are_judged_without_a_skew(self, alice: User, now: dt.datetime) -> None:
        """simplejwt does the same, and has its own setting LEEWAY."""
        now = now.replace(microsecond=0)
        for seconds, accepted in ((1, True), (0, False), (-9, False)):
            token = resigned(str(AccessToken.for_user(alice)), exp=int(now.timestamp()) + seconds)
            with contextlib.nullcontext() if accepted else pytest.raises(InvalidToken):
                simplejwt.verify(token, now=now)

    def test_times_of_birth_may_be_missing(self, anybody: MutualTLSClient, alice: User) -> None:
        token = resigned(str(AccessToken.for_user(alice)), iat=None)
        assert works_there(anybody, token)
        revoke_tokens_before(clock.now() - 10_000 * SECOND)
        assert not works_there(anybody, token)


class TestRevocation:
    def test_revocation_by_name_is_in_effect_at_once(self, anybody: MutualTLSClient, alice: User) -> None:
        token, other = str(AccessToken.for_user(alice)), str(AccessToken.for_user(alice))
        found = simplejwt.verify(token, now=clock.now())
        assert works_there(anybody, token)
        assert revoke_token(issuer=found.issuer, jti=found.jti, expires_at=found.expires_at) is True
        assert (works_there(anybody, token), works_there(anybody, other)) == (False, True)

    @pytest.mark.parametrize(
        "way",
        [
            revoke_user_tokens,
            lambda user: revoke_client_tokens("simplejwt"),
            lambda user: revoke_tokens_before(clock.now()),
        ],
        ids=["user", "client", "everything"],
    )
    def test_revocation_of_all_is_in_effect_at_once(self, anybody: MutualTLSClient, alice: User, way: Any) -> None:
        token = str(AccessToken.for_user(alice))
        assert works_there(anybody, token)
        way(alice)
        assert not works_there(anybody, token)

    def test_revocation_costs_one_statement(
        self, anybody: MutualTLSClient, alice: User, django_assert_num_queries: Any
    ) -> None:
        token = str(AccessToken.for_user(alice))
        with django_assert_num_queries(1):
            assert works_there(anybody, token)


class TestBesideOurs:
    """A view that accepts both kinds while its clients move."""

    def test_beside_ours_each_kind_is_judged_by_its_own_rules(
        self, client: MutualTLSClient, anybody: MutualTLSClient
    ) -> None:
        old = str(AccessToken.for_user(User.objects.get(username="alice")))
        new = given(client)["access_token"]
        assert works(anybody, old, path="/old-and-new")
        assert works(client, new, path="/old-and-new")
        assert not works(anybody, new, path="/old-and-new")

    def test_beside_ours_no_token_is_mended_by_the_certificate(self, client: MutualTLSClient) -> None:
        old = str(AccessToken.for_user(User.objects.get(username="alice")))
        new = given(client)["access_token"]
        for token in (old, new):
            assert not works(client, token[:-6] + "AAAAAA", path="/old-and-new")
        assert client.get("/old-and-new").json()["auth"] == "ClientCertificate"

    @pytest.mark.parametrize("path", ["/old-and-new", "/new-and-old"])
    def test_beside_ours_the_order_of_the_classes_does_not_matter(self, client: MutualTLSClient, path: str) -> None:
        old = str(AccessToken.for_user(User.objects.get(username="alice")))
        assert works(client, old, path=path)
        assert works(client, given(client)["access_token"], path=path)
        assert not works(client, "x", path=path)
        assert client.get(path, HTTP_AUTHORIZATION="Bearer").status_code == 401

    def test_beside_ours_an_old_token_cannot_call_itself_one_of_ours(
        self, client: MutualTLSClient, alice_signed: str
    ) -> None:
        assert not works(client, alice_signed, path="/old-and-new")
        assert not works(client, alice_signed, path="/both")

    @pytest.fixture
    def alice_signed(self, client: MutualTLSClient) -> str:
        said = AccessToken.for_user(User.objects.get(username="alice")).payload
        return jwt.encode(said, KEY, "HS256", headers={"typ": "at+jwt", "kid": "test"})

    def test_beside_ours_ours_is_not_one_of_theirs(self, client: MutualTLSClient) -> None:
        with pytest.raises(InvalidToken):
            simplejwt.verify(given(client)["access_token"], now=clock.now())
        assert tokens.simplejwt.ISSUER != "https://testserver"


class TestCommands:
    """An operator has the token or its ``jti``, and does not know which package issued it."""

    @pytest.mark.parametrize("command", [("securecore_tokens", "revoke"), ("securecore_incident", "stolen-token")])
    def test_command_refuses_a_token_by_its_jti(
        self, anybody: MutualTLSClient, alice: User, settings: Any, command: tuple[str, str]
    ) -> None:
        settings.SIMPLE_JWT = {**settings.SIMPLE_JWT, "ACCESS_TOKEN_LIFETIME": dt.timedelta(days=7)}
        made = AccessToken.for_user(alice)
        made.set_exp(lifetime=dt.timedelta(days=7))
        assert works_there(anybody, str(made))
        told = io.StringIO()
        yes = ["--yes"] if command[1] == "stolen-token" else []
        call_command(*command, "--jti", made["jti"], *yes, stdout=io.StringIO(), stderr=told)
        assert not works_there(anybody, str(made))
        assert told.getvalue() == ""
        row = tokens.RevokedToken.objects.get()
        assert row.expires_at > clock.now() + dt.timedelta(days=6, hours=23)

    def test_admin_refuses_a_token_by_its_jti(self, anybody: MutualTLSClient, alice: User) -> None:
        made, operator = AccessToken.for_user(alice), Operator("delete_refreshfamily")
        assert works_there(anybody, str(made))
        doubted = operator.fill("refreshfamily", "revoke_tokens", step="ask", jti="no-jti-of-ours")
        assert "No issuer here uses a jti of this form" in doubted.context["harm"]
        known = operator.fill("refreshfamily", "revoke_tokens", step="ask", jti=made["jti"])
        assert "No issuer here" not in known.context["harm"]
        assert operator.fill("refreshfamily", "revoke_tokens", jti=made["jti"]).status_code == 302
        assert not works_there(anybody, str(made))

    def test_command_takes_the_token_itself(self, anybody: MutualTLSClient, alice: User, tmp_path: Path) -> None:
        token = str(AccessToken.for_user(alice))
        (tmp_path / "token").write_text(token)
        arguments = ("securecore_incident", "stolen-token", "--file", str(tmp_path / "token"), "--yes")
        call_command(*arguments, stdout=io.StringIO(), stderr=io.StringIO())
        assert Lockout.objects.get().subject == f"user:{alice.pk}"
        Lockout.objects.all().delete()
        assert not works_there(anybody, token)

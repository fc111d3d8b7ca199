"""The rights of a credential count only for the user that a class authenticated by that credential."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, Group, User

from securecore import clock
from securecore.grants import grant, principal_of, principals
from securecore.identity import Certificate
from securecore.sessions import Session, SessionStore
from securecore.tokens import Client
from tests.caller.credential_urls import MAKE
from tests.caller.stage import SESSION, Stage, Token, answer

pytestmark = pytest.mark.urls("tests.caller.credential_urls")

SERVICE = principals.service("payments")
#: Tokens of carol in bob's hands. Each names a client with a grant that bob lacks.
USELESS = [
    Token(user="carol", certificate="carol"),
    Token(user="carol", certificate="bob", state="revoked"),
    Token(user="bob", certificate="carol"),
    Token(user="bob", certificate="bob", state="revoked"),
    Token("dpop", "no proof", user="bob", certificate="bob"),
    Token("dpop", "another key", user="bob", certificate="bob"),
    Token("dpop", user="carol", certificate="carol"),
]


@pytest.fixture
def registered(stage: Stage) -> None:
    Client.objects.create(client_id="payments", user=stage.users["carol"], created_at=clock.now())


def give(principal: str, permission: str = MAKE, **more: Any) -> None:
    grant(principal=principal, permission=permission, now=clock.now(), **more)


@pytest.mark.usefixtures("registered")
class TestService:
    @pytest.mark.parametrize("token", USELESS, ids=repr)
    def test_service_gives_nothing_by_a_token_that_is_not_accepted(self, stage: Stage, token: Token) -> None:
        """H1: a good signature alone gave the rights of the token's client."""
        give(SERVICE)
        give(SERVICE, "auth.view_user")
        User.objects.filter(username="bob").update(is_staff=True)
        for session in ("", "bob"):
            client = stage.client("bob", session)
            for path in ("/plain", "/requires", "/who/tokens-last", "/granted", "/who/certificate"):
                response = stage.get(client, path, token)
                assert response.status_code >= 400 or response.json()["may"] is False, path
            response = stage.get(client, "/admin/auth/user/", token)
            assert response.status_code in (302, 401, 403)

    def test_service_gives_nothing_beside_the_session_of_a_plain_view(self, stage: Stage) -> None:
        """A good token of the same user, which no class has accepted here."""
        give(SERVICE)
        give(SERVICE, "auth.view_user")
        User.objects.filter(username="bob").update(is_staff=True)
        client, token = stage.client("bob", "bob"), Token(user="bob", certificate="bob")
        assert stage.get(client, "/plain", token).json() == {"user": "bob", "may": False}
        assert stage.get(client, "/admin/auth/user/", token).status_code == 403
        assert stage.get(client, "/requires", token).json()["code"] == "permission-denied"

    @pytest.mark.parametrize("kind", ["bearer", "dpop"])
    def test_service_gives_what_it_has_by_a_token_that_is_accepted(self, stage: Stage, kind: str) -> None:
        give(SERVICE)
        client, token = stage.client("alice", "good"), Token(kind)
        assert stage.get(client, "/who/tokens-last", token).json() == {
            "user": "alice",
            "may": True,
            "principals": [
                principal_of(stage.users["alice"]),
                SERVICE,
                principals.certificate(stage.thumbprint("alice")),
            ],
        }
        assert stage.get(client, "/granted", token).json()["may"] is True
        assert stage.get(client, "/who/tokens-last").json()["may"] is False

    def test_service_is_denied_what_it_is_denied(self, stage: Stage) -> None:
        give(principal_of(stage.users["alice"]))
        give(SERVICE, denies=True)
        client = stage.client("alice")
        assert stage.get(client, "/who/tokens-last", Token()).json()["may"] is False
        assert stage.get(client, "/who/tokens-last").json()["may"] is True


class TestUnregisteredClient:
    def test_unregistered_client_is_no_service(self, stage: Stage) -> None:
        """L2: a user with the name of a client gets tokens by certificate. Their client id is the user name."""
        give(SERVICE)
        client, token = stage.client("alice"), Token(client_id="payments")
        found = stage.get(client, "/who/tokens-last", token).json()
        assert found["may"] is False
        assert SERVICE not in found["principals"]
        assert stage.get(client, "/granted", token).json()["code"] == "permission-denied"

    def test_unregistered_client_of_simplejwt_is_no_service(self, stage: Stage) -> None:
        """A registration of that name gives simplejwt's tokens no rights. It ends them, like all tokens of that id."""
        Client.objects.create(client_id="simplejwt", user=stage.users["carol"], created_at=clock.now())
        give(principals.service("simplejwt"))
        assert stage.get(stage.client(), "/who/tokens-last", Token("simplejwt")).json()["code"] == "invalid-token"


class TestCertificate:
    @pytest.mark.parametrize("token", [None, Token(), Token("dpop"), Token("simplejwt")], ids=repr)
    def test_certificate_gives_and_denies_beside_whatever_was_accepted_with_it(
        self, stage: Stage, token: Token | None
    ) -> None:
        give(principals.certificate(stage.thumbprint("alice")))
        give(principals.certificate(stage.thumbprint("bob")), "auth.view_user")
        client = stage.client("alice", "good")
        for path in ("/who/tokens-last", "/who/tokens-first", "/granted"):
            assert stage.get(client, path, token).json()["may"] is True
        give(principals.certificate(stage.thumbprint("alice")), denies=True)
        assert stage.get(client, "/who/tokens-last", token).json()["may"] is False

    def test_certificate_is_nothing_to_a_request_without_it(self, stage: Stage) -> None:
        give(principals.certificate(stage.thumbprint("alice")))
        assert stage.get(stage.client(None, "good"), "/plain").json() == {"user": "alice", "may": False}
        assert stage.get(stage.client(), "/who/tokens-last", Token("dpop")).json()["may"] is False

    def test_certificate_of_a_deactivated_user_is_not_nobody_s(self, stage: Stage) -> None:
        """Otherwise the holder of a stolen simplejwt token could send it under any certificate that
        was once enrolled.
        """
        User.objects.filter(username="bob").update(is_active=False)
        client = stage.client("bob")
        assert answer(stage.get(client, "/who/tokens-last", Token("simplejwt"))) == "credentials-conflict"
        Certificate.objects.filter(pk=stage.thumbprint("bob")).update(user=None)
        assert answer(stage.get(client, "/who/tokens-last", Token("simplejwt"))) == "alice"


class TestUserObject:
    def test_user_object_is_another_for_each_credential(self, stage: Stage) -> None:
        """A view that changes the user object of the token does not change that of the certificate."""
        response = stage.get(stage.client("alice", "good"), "/who/tokens-last", Token())
        request = response.wsgi_request
        credentials = request.credentials
        users = [credentials.user_of_token(), credentials.user_of_certificate(), credentials.user_of_session()]
        assert len({id(user) for user in users}) == 3
        assert len({user.pk for user in users}) == 1
        assert request.certificate_user is users[1]


class TestDenial:
    """L8: user objects that Django built by itself, for example after a rotation of SECRET_KEY."""

    @pytest.fixture
    def may(self, stage: Stage) -> Any:
        """Give Alice a grant; the test adds the denial."""
        give(principal_of(stage.users["alice"]))
        return lambda: User.objects.get(username="alice").has_perm(MAKE)

    def test_denial_holds_for_a_user_object_of_any_origin(self, stage: Stage, may: Any) -> None:
        assert may() is True
        give(principal_of(stage.users["alice"]), denies=True)
        assert may() is False

    def test_denial_of_a_group_holds_too(self, stage: Stage, may: Any) -> None:
        group = Group.objects.create(name="suspended")
        stage.users["alice"].groups.add(group)
        give(principals.group(group), denies=True)
        assert may() is False

    @pytest.mark.parametrize("name", ["user", "certificate"])
    def test_denial_holds_at_the_first_request_after_the_secret_key_was_changed(
        self, stage: Stage, may: Any, name: str, settings: Any
    ) -> None:
        client = stage.client("alice", "good")
        holder = principal_of(stage.users["alice"])
        give(holder if name == "user" else principals.certificate(stage.thumbprint("alice")), denies=True)
        settings.SECRET_KEY_FALLBACKS, settings.SECRET_KEY = [settings.SECRET_KEY], "another one"
        assert stage.get(client, "/plain").json() == {"user": "alice", "may": False}

    def test_denial_holds_for_a_user_that_another_backend_finds(self, stage: Stage, may: Any, settings: Any) -> None:
        settings.AUTHENTICATION_BACKENDS = [*settings.AUTHENTICATION_BACKENDS, "tests.caller.backends.OwnWay"]
        client = stage.client("alice", "good")
        # Not client.session: Django's test client names no binding.
        key = client.cookies[SESSION].value
        session = SessionStore(key, Session.objects.named(key).get().binding)
        session["_auth_user_backend"] = "tests.caller.backends.OwnWay"
        session.save()
        assert stage.get(client, "/plain").json() == {"user": "alice", "may": True}
        give(principals.certificate(stage.thumbprint("alice")), denies=True)
        assert stage.get(client, "/plain").json() == {"user": "alice", "may": False}

    def test_denial_is_read_once_for_a_user_object(self, stage: Stage, django_assert_num_queries: Any) -> None:
        user = User.objects.get(username="alice")
        with django_assert_num_queries(1 + 2):  # and Django's own permissions, once
            assert not any(user.has_perm(MAKE) for _ in range(3))

    def test_denial_of_nobody_is_not_asked_for(self, db: None, django_assert_num_queries: Any) -> None:
        with django_assert_num_queries(0):
            assert AnonymousUser().has_perm(MAKE) is False

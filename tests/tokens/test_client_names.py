"""A name that changes hands, of a client, a user or a group: the next holder gets nothing of the previous one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.core.exceptions import ValidationError
from django.db import connection

from securecore import clock, tokens
from securecore.grants import Grant, grant, principal_of, principals, triggers
from securecore.identity import enroll, parse_pem
from securecore.testing import Authority, MutualTLSClient
from securecore.tokens import Client, RefreshFamily, clients
from tests.tokens.calls import ask, error_of, given, post, prove, refresh, works

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.caller.urls")]

INVALID_GRANT = (400, "invalid_grant")
MAY = "transfers.create"
Register = Callable[..., Client]


def give(principal: str, permission: str = MAY, **how: Any) -> None:
    assert grant(principal=principal, permission=permission, now=clock.now(), **how)


def may(client: MutualTLSClient, token: str) -> bool:
    answer = client.get(f"/may?permission={MAY}", HTTP_AUTHORIZATION=f"Bearer {token}")
    assert answer.status_code == 200, answer.content
    return bool(answer.json()["may"])


def proof() -> str:
    return prove("/oauth/token", "POST")


def live(principal: str) -> set[str]:
    return set(Grant.objects.not_revoked().filter(principal=principal).values_list("permission", flat=True))


def sql(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


class TestUserCertificateClient:
    """The user of a certificate as its own client: its client id is the user name, without a registration."""

    def test_user_certificate_client_holds_nothing_of_a_service(
        self, client: MutualTLSClient, register: Register
    ) -> None:
        give("service:alice")
        assert not may(client, given(client, "client_credentials")["access_token"])
        register("alice")
        assert may(client, given(client, "client_credentials")["access_token"])

    def test_user_certificate_client_goes_by_no_service_name(self, client: MutualTLSClient, register: Register) -> None:
        def names() -> tuple[str, ...]:
            token = given(client, "client_credentials")["access_token"]
            return tuple(client.get("/names", HTTP_AUTHORIZATION=f"Bearer {token}").json()["names"])

        assert "service:alice" not in names()
        register("alice")
        assert "service:alice" in names()

    def test_user_certificate_client_s_tokens_end_when_a_client_of_that_name_is_registered(
        self, client: MutualTLSClient, register: Register
    ) -> None:
        held = given(client, proof=proof())
        bearer = given(client)
        register("alice", rotates_refresh_tokens=True)
        assert not works(client, bearer["access_token"], path="/token")
        answer = post(client, f"token={held['access_token']}", "/oauth/introspect")
        assert answer.json() == {"active": False}
        assert error_of(refresh(client, held["refresh_token"], proof=proof())) == INVALID_GRANT
        assert not RefreshFamily.objects.filter(revoked_at=None).exists()

    def test_user_certificate_client_s_token_gets_no_service_by_a_registration(
        self, client: MutualTLSClient, register: Register
    ) -> None:
        """A trigger ends the token at the registration. Without triggers the token itself says: no service."""
        triggers.remove()
        token = given(client, "client_credentials")["access_token"]
        register("alice")
        give("service:alice")
        assert not may(client, token)
        assert may(client, given(client, "client_credentials")["access_token"])

    def test_user_certificate_client_gets_no_family_of_a_user_who_had_its_name(
        self, client: MutualTLSClient, ca: Authority
    ) -> None:
        """A DPoP key is accepted under any certificate, so the client name alone must not open the family."""
        token = given(client, proof=proof())["refresh_token"]
        User.objects.filter(username="alice").update(username="former-alice")
        issued = ca.issue("alice")
        enroll(certificate=parse_pem(issued.pem), user=User.objects.create(username="alice"), now=clock.now())
        newcomer = MutualTLSClient(issued)
        assert error_of(refresh(newcomer, token, proof=proof())) == INVALID_GRANT
        post(newcomer, f"token={token}", "/oauth/revoke")
        assert post(newcomer, f"token={token}", "/oauth/introspect").json() == {"active": False}
        assert not RefreshFamily.objects.exclude(revoked_at=None).exists()

    def test_user_certificate_client_learns_nothing_of_an_access_token_of_a_user_who_had_its_name(
        self, client: MutualTLSClient, ca: Authority
    ) -> None:
        token = given(client)["access_token"]
        User.objects.filter(username="alice").update(username="former-alice")
        issued = ca.issue("alice")
        enroll(certificate=parse_pem(issued.pem), user=User.objects.create(username="alice"), now=clock.now())
        newcomer = MutualTLSClient(issued)
        assert post(newcomer, f"token={token}", "/oauth/introspect").json() == {"active": False}
        post(newcomer, f"token={token}", "/oauth/revoke")
        assert works(client, token, path="/token")


class TestRegistration:
    def test_registration_under_the_name_of_another_user_is_refused(self, users: dict[str, User]) -> None:
        """Resource servers that read ``client_id`` would take the client for that user."""
        with pytest.raises(ValidationError, match="bob"):
            clients.register(client_id="bob", user=users["alice"], now=clock.now())
        clients.register(client_id="alice", user=users["alice"], now=clock.now())
        assert Client.objects.get().pk == "alice"

    def test_registration_of_a_client_that_a_user_is_renamed_to_is_not_the_user_s(
        self, client: MutualTLSClient, register: Register
    ) -> None:
        register("billing", user="bob")
        User.objects.filter(username="alice").update(username="billing")
        assert error_of(ask(client, "client_credentials")) == (401, "invalid_client")


class TestDeletedClient:
    @pytest.mark.parametrize("way", ["instance", "queryset", "sql"])
    def test_deleted_client_leaves_no_grant_to_the_next_of_its_name(
        self, client: MutualTLSClient, register: Register, way: str
    ) -> None:
        row = register("payments")
        give("service:payments")
        give("service:payments", principals.role("clerk"))
        give("service:payments", "accounts.close", denies=True)
        give("service:payments-2")
        if way == "instance":
            row.delete()
        elif way == "queryset":
            Client.objects.filter(pk="payments").delete()
        else:
            sql("DELETE FROM securecore_client WHERE client_id = 'payments'")
        assert live("service:payments") == set()
        assert live("service:payments-2") == {MAY}
        register("payments")
        assert not may(client, given(client, "client_credentials", client_id="payments")["access_token"])

    def test_deleted_client_leaves_no_token_to_the_next_of_its_name(
        self, client: MutualTLSClient, register: Register
    ) -> None:
        row = register("payments", rotates_refresh_tokens=True)
        held = given(client, client_id="payments")
        row.delete()
        register("payments", rotates_refresh_tokens=True)
        assert not works(client, held["access_token"], path="/token")
        assert error_of(refresh(client, held["refresh_token"], client_id="payments")) == INVALID_GRANT

    def test_deleted_client_under_another_name_takes_nothing_along_and_leaves_nothing(
        self, client: MutualTLSClient, register: Register
    ) -> None:
        """``QuerySet.update()`` of the client id frees one name and takes another."""
        register("payments")
        give("service:payments")
        held = given(client, client_id="payments")
        own = given(client)
        Client.objects.filter(pk="payments").update(client_id="alice")
        assert live("service:payments") == set()
        for token in (held, own):
            assert not works(client, token["access_token"], path="/token")
        assert not RefreshFamily.objects.filter(revoked_at=None).exists()


class TestDeletedUser:
    @pytest.mark.parametrize("way", ["instance", "sql"])
    def test_deleted_user_leaves_no_grant_to_the_next_with_its_key(self, users: dict[str, User], way: str) -> None:
        bob = User.objects.create(username="dora")
        name, key = principal_of(bob), bob.pk
        give(name)
        give(name, principals.role("clerk"))
        give(name, "accounts.close", denies=True)
        give(f"{name}0")
        bob.delete() if way == "instance" else sql(f"DELETE FROM auth_user WHERE id = {key}")
        assert live(name) == set()
        assert live(f"{name}0") == {MAY}
        assert not User.objects.create(pk=key, username="eve").has_perm(MAY)


class TestDeletedGroup:
    @pytest.mark.parametrize("way", ["instance", "sql"])
    def test_deleted_group_leaves_no_grant_to_the_next_with_its_key(self, users: dict[str, User], way: str) -> None:
        group = Group.objects.create(name="tellers")
        give(principals.group(group))
        give(principals.group(group), principals.role("clerk"))
        give(principals.role("clerk"), "accounts.read")
        name, key = principals.group(group), group.pk
        group.delete() if way == "instance" else sql(f"DELETE FROM auth_group WHERE id = {key}")
        assert live(name) == set()
        assert live("role:clerk") == {"accounts.read"}


def test_a_token_says_whether_its_client_was_registered(now: Any) -> None:
    how: dict[str, Any] = {"subject": "1", "client_id": "alice", "binding": "x5t#S256:t", "now": now}
    for is_registered in (True, False):
        encoded, issued = tokens.issue(**how, is_registered=is_registered)
        assert issued == tokens.verify(encoded, now=now)
        assert issued.is_registered is is_registered

"""Deleting a row ends at least as much as disabling it, and a later row of the same name inherits nothing."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db import IntegrityError, connection, transaction

from securecore import caller, clock, grants, tokens
from securecore.errors import InvalidToken, Misuse, PermissionDenied
from securecore.grants import Grant, principal_of, principals
from securecore.models import Certificate, Client, TokenEpoch
from securecore.revocation import disable_client, revoke_certificate, revoke_client_tokens, revoke_tokens_before
from tests.grants.conftest import MAKE

pytestmark = pytest.mark.django_db(transaction=True)

BINDING = "x5t#S256:alice"
HOUR = dt.timedelta(hours=1)


def sql(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.fixture
def client(user: User, now: dt.datetime) -> Client:
    return Client.objects.create(client_id="c", user=user, created_at=now)


def token_of(user: User) -> tokens.AccessToken:
    return tokens.issue(subject=str(user.pk), client_id="c", binding=BINDING, now=clock.now())[1]


def is_good(token: tokens.AccessToken) -> bool:
    try:
        caller.user_of_token(token, now=clock.now())
    except InvalidToken:
        return False
    return True


def by_orm(model: Any) -> None:
    model._default_manager.all().delete()


def by_sql(model: Any) -> None:
    sql(f'DELETE FROM "{model._meta.db_table}"')


def disable_by_update() -> None:
    Client.objects.update(disabled_at=clock.now())


HOW = pytest.mark.parametrize("delete", [by_orm, by_sql])


class TestClient:
    @HOW
    @pytest.mark.parametrize("disable", [lambda: disable_client("c"), disable_by_update, lambda: None])
    def test_client_takes_its_tokens_along(
        self, user: User, client: Client, disable: Callable[[], None], delete: Callable[[Any], None]
    ) -> None:
        token = token_of(user)
        assert is_good(token)
        disable()
        delete(Client)
        assert not is_good(token)
        Client.objects.create(client_id="c", user=user, created_at=clock.now())
        assert not is_good(token)
        assert is_good(token_of(user))

    def test_client_that_was_disabled_for_a_while_has_no_tokens_from_before(self, user: User, client: Client) -> None:
        token = token_of(user)
        disable_by_update()
        Client.objects.update(disabled_at=None)
        assert not is_good(token)

    @HOW
    def test_client_leaves_a_later_one_no_grant(
        self, user: User, client: Client, give: Any, delete: Callable[[Any], None]
    ) -> None:
        give(principals.service("c"))
        delete(Client)
        assert not Grant.objects.not_revoked().exists()


class TestUser:
    def test_user_leaves_a_later_one_neither_tokens_nor_grants(self, user: User, client: Client, give: Any) -> None:
        token, key = token_of(user), user.pk
        give(principal_of(user))
        give(principal_of(user), "things.burn", denies=True)
        user.delete()
        again = User.objects.create(pk=key, username="another")
        assert not is_good(token)
        with grants.late_gate(principal_of(again), clock=clock.now) as late, pytest.raises(PermissionDenied):
            late.require(MAKE)
        assert not Grant.objects.not_revoked().exists()


@HOW
def test_a_group_leaves_a_later_one_no_grant(group: Group, give: Any, delete: Callable[[Any], None]) -> None:
    give(principals.group(group))
    User.groups.through.objects.all().delete()
    delete(Group)
    assert not Grant.objects.not_revoked().exists()


class TestCertificate:
    @pytest.fixture
    def revoked(self, user: User, now: dt.datetime) -> Certificate:
        Certificate.objects.create(thumbprint="t" * 43, user=user, not_after=now + HOUR, enrolled_at=now)
        revoke_certificate(thumbprint="t" * 43)
        return Certificate.objects.get()

    def test_certificate_that_is_revoked_is_not_deleted(self, revoked: Certificate) -> None:
        for delete in (revoked.delete, Certificate.objects.all().delete):
            with pytest.raises(Misuse, match="is its revocation"):
                delete()
        assert Certificate.objects.get().revoked_at is not None

    @pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite's flush deletes row by row")
    def test_certificate_that_is_revoked_is_not_deleted_by_sql(self, revoked: Certificate) -> None:
        with pytest.raises(IntegrityError, match="is the revocation"), transaction.atomic():
            by_sql(Certificate)
        assert Certificate.objects.get().revoked_at is not None

    def test_certificate_that_has_expired_goes(self, revoked: Certificate, now: dt.datetime) -> None:
        Certificate.objects.update(not_after=now - HOUR)
        assert revoked.delete()[0] == 1

    def test_certificate_that_is_not_revoked_goes(self, user: User, now: dt.datetime) -> None:
        Certificate.objects.create(thumbprint="t" * 43, user=user, not_after=now + HOUR, enrolled_at=now)
        assert Certificate.objects.all().delete()[0] == 1


class TestEpoch:
    @pytest.mark.parametrize("change", [{"epoch": 0}, {"subject": "client:d"}])
    def test_epoch_only_grows(self, change: dict[str, Any]) -> None:
        revoke_client_tokens("c")
        with pytest.raises(IntegrityError, match="only grows"), transaction.atomic():
            TokenEpoch.objects.update(**change)
        assert TokenEpoch.objects.get().epoch == 1

    def test_epoch_of_everybody_only_grows(self, now: dt.datetime) -> None:
        revoke_tokens_before(now - HOUR)
        for earlier in (None, now - 2 * HOUR):
            with pytest.raises(IntegrityError, match="only grows"), transaction.atomic():
                TokenEpoch.objects.update(not_before=earlier)
        revoke_tokens_before(now)
        assert TokenEpoch.objects.get().not_before == now

    @pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite's flush deletes row by row")
    def test_epoch_is_not_deleted(self) -> None:
        revoke_client_tokens("c")
        for delete in (by_orm, by_sql):
            with pytest.raises(IntegrityError, match="it is kept"), transaction.atomic():
                delete(TokenEpoch)
        assert TokenEpoch.objects.exists()

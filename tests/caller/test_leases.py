"""Leases: the requests that they answer, and those that they never answer. The races are in
tests/races/test_leases.py.
"""

from __future__ import annotations

import datetime as dt
import time
from typing import Any, ClassVar

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.db import OperationalError, connection, transaction
from django.test.utils import isolate_apps

from securecore import caller, clock, leases, revocation, tokens
from securecore.caches import BoundedCache
from securecore.errors import InvalidToken
from securecore.http.sessions import receivers
from securecore.sessions import Session, SessionStore
from securecore.testing import FakeClock
from tests.caller.conftest import Caller
from tests.http.test_database_away import away, is_503
from tests.tokens.calls import FORM

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls("tests.caller.urls")]

PATHS = ["/certificate", "/token", "/session", "/django"]


@pytest.fixture
def time_of_leases(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The instant on the clock of the leases, which moves only when a test adds to it."""
    instant = [1_000.0]
    held: Any = BoundedCache(size=8, seconds=leases.seconds, clock=lambda: instant[0])
    monkeypatch.setattr(caller.leased_snapshots, "_leased", held)
    monkeypatch.setattr(leases, "clock", lambda: instant[0])
    return instant


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """A list with, for each wait, whether a transaction was open."""
    made: list[bool] = []
    monkeypatch.setattr(leases, "_wait", lambda: made.append(connection.in_atomic_block))
    return made


@pytest.fixture
def leased(caller: Caller, settings: Any, time_of_leases: list[float], waits: list[bool]) -> Caller:
    """Alice, with leases of half a second."""
    settings.SECURECORE = settings.SECURECORE | {"LEASE_MS": 500}
    return caller


class TestLease:
    @pytest.mark.parametrize("path", PATHS)
    def test_lease_costs_no_statement(
        self, leased: Caller, time_of_leases: list[float], django_assert_num_queries: Any, path: str
    ) -> None:
        with django_assert_num_queries(1):
            first = leased.get(path).json()
        time_of_leases[0] += 0.499
        with django_assert_num_queries(0):
            second = leased.get(path).json()
        assert (first["leased"], second["leased"]) == (False, True)
        assert first | {"leased": True} == second

    @pytest.mark.parametrize("path", PATHS)
    def test_lease_ends(self, leased: Caller, time_of_leases: list[float], path: str) -> None:
        leased.get(path)
        for step in (0.5, 3_600):
            time_of_leases[0] += step
            assert leased.get(path).json()["leased"] is False

    @pytest.mark.parametrize("path", PATHS)
    def test_lease_is_off_by_default(self, caller: Caller, path: str) -> None:
        assert [caller.get(path).json()["leased"] for _ in range(3)] == [False] * 3

    def test_lease_counts_from_the_beginning_of_its_read(self, leased: Caller, time_of_leases: list[float]) -> None:
        """A query that took 0.4 s may return data from 0.4 s ago."""

        def slowly(execute: Any, *arguments: Any) -> Any:
            time_of_leases[0] += 0.4
            return execute(*arguments)

        with connection.execute_wrapper(slowly):
            leased.get("/certificate")
        assert leased.get("/certificate").json()["leased"]
        time_of_leases[0] += 0.1
        assert not leased.get("/certificate").json()["leased"]

    def test_lease_is_of_what_was_presented_and_nothing_less(self, leased: Caller) -> None:
        """The same certificate with another token is another caller."""
        leased.get("/token")
        other, _ = tokens.issue(
            subject=str(leased.user.pk),
            client_id="other",
            binding=f"x5t#S256:{leased.thumbprint}",
            now=clock.now(),
        )
        assert not leased.get("/token", HTTP_AUTHORIZATION=f"Bearer {other}").json()["leased"]

    def test_lease_gives_each_request_a_user_of_its_own(self, leased: Caller) -> None:
        assert leased.get("/writes").json()["first_name"] == "changed and not saved"
        assert leased.get("/certificate").json() == leased.get("/certificate").json() | {"first_name": ""}

    def test_lease_outlives_no_token(self, leased: Caller, fake_clock: FakeClock) -> None:
        """The expiry of a token is judged at each request."""
        assert leased.get("/token").status_code == 200
        fake_clock.now = leased.token.expires_at + dt.timedelta(seconds=11)
        assert leased.get("/token").status_code == 401

    @pytest.mark.usefixtures("fake_clock")
    def test_lease_is_not_given_to_a_session_near_its_end(self, leased: Caller) -> None:
        Session.objects.update(expires_at=clock.now() + dt.timedelta(seconds=0.4))
        assert [leased.get("/session").json()["leased"] for _ in range(2)] == [False] * 2

    def test_lease_never_keeps_a_session_from_being_seen(self, leased: Caller) -> None:
        """A request that is about to write "last seen" reads the row, so a lease does not hide
        another request's write.
        """
        long_ago = clock.now() - dt.timedelta(minutes=10)
        Session.objects.update(last_seen_at=long_ago)
        assert not leased.get("/session").json()["leased"]
        assert Session.objects.get().last_seen_at > long_ago

    def test_lease_bridges_a_database_that_is_away(self, leased: Caller, time_of_leases: list[float]) -> None:
        leased.get("/token")
        with away(OperationalError("gone")):
            assert leased.get("/token").status_code == 200
            time_of_leases[0] += 0.5
            assert is_503(leased.get("/token"))

    def test_lease_is_bounded(self, leased: Caller) -> None:
        for number in range(20):
            assert leased.get_with_a_token_of(f"client {number}").status_code == 200
        assert len(caller.leased_snapshots._leased) == 8


class TestNeverByALease:
    def test_never_by_a_lease_is_what_a_session_holds(self, leased: Caller) -> None:
        """One request writes to the session, the next request of the same browser reads the value, at any worker."""
        leased.get("/session")
        for count in (1, 2, 3):
            assert leased.client.post("/basket").json() == {"count": count, "username": "alice"}
            assert leased.client.get("/basket").json()["count"] == count

    def test_never_by_a_lease_is_a_login(self, leased: Caller) -> None:
        leased.get("/certificate")
        User.objects.update(is_active=False)
        Session.objects.all().delete()
        assert leased.get("/certificate").json()["leased"]
        assert leased.client.post("/auth/login").json()["code"] == "certificate-unknown"
        assert not Session.objects.exists()

    @pytest.mark.parametrize("grant", ["client_credentials", "urn:securecore:grant-type:certificate"])
    def test_never_by_a_lease_is_a_token(self, leased: Caller, grant: str) -> None:
        """Otherwise the holder of a revoked certificate could obtain a token that outlives the revocation."""
        form = f"grant_type={grant}&client_id=alice"
        assert leased.client.post("/oauth/token", form, content_type=FORM).status_code == 200
        revocation.revoke_certificate(thumbprint=leased.thumbprint)
        answer = leased.client.post("/oauth/token", form, content_type=FORM)
        assert answer.status_code in (401, 403)

    def test_never_by_a_lease_is_what_a_transaction_reads(self, leased: Caller) -> None:
        """The data may be rolled back, or come from an old snapshot."""
        certificate = caller.presented.PresentedCredentials(clock.now(), token=leased.token)
        with transaction.atomic():
            User.objects.update(first_name="rolled back")
            certificate.user_of_token()
            transaction.set_rollback(True)
        assert len(caller.leased_snapshots._leased) == 0

    def test_never_by_a_lease_is_introspection(self, leased: Caller) -> None:
        leased.get("/token")
        tokens.revoke(
            issuer=leased.token.issuer, jti=leased.token.jti, expires_at=leased.token.expires_at, now=clock.now()
        )
        with pytest.raises(InvalidToken):
            caller.user_of_token(leased.token, now=clock.now())


class TestOutlast:
    WAYS: ClassVar[dict[str, Any]] = {
        "token": lambda caller: revocation.revoke_token(
            issuer=caller.token.issuer, jti=caller.token.jti, expires_at=caller.token.expires_at
        ),
        "family": lambda caller: revocation.revoke_family(caller.token.family_id),
        "unknown family": lambda caller: revocation.revoke_family(Session.objects.get().pk),
        "client": lambda caller: revocation.revoke_client_tokens("payments"),
        "user's tokens": lambda caller: revocation.revoke_user_tokens(caller.user),
        "everything": lambda caller: revocation.revoke_tokens_before(clock.now()),
        "key": lambda caller: revocation.retire_key("unknown"),
        "certificate": lambda caller: revocation.revoke_certificate(thumbprint=caller.thumbprint),
        "grant": lambda caller: revocation.revoke_grant(principal="user:1", permission="x"),
        "sessions": lambda caller: revocation.end_sessions(everybody=True, reason="test"),
        "session": lambda caller: SessionStore().delete("some id"),
        "logout": lambda caller: caller.client.post("/auth/logout"),
        "session of a list": lambda caller: caller.client.delete(f"/auth/sessions/{Session.objects.get().pk}"),
        "inactive user": lambda caller: _saved(caller.user, is_active=False),
        "demoted user": lambda caller: _saved(caller.user, is_staff=True),
        "password": lambda caller: _saved(caller.user, password="another"),
        "group": lambda caller: caller.user.groups.clear(),
        "group's permission": lambda caller: Group.objects.get().permissions.clear(),
    }

    @pytest.mark.parametrize("way", WAYS)
    def test_outlast_follows_everything_that_takes_something_back(
        self, leased: Caller, waits: list[bool], way: str
    ) -> None:
        """The wait comes after the commit, and at least once: a second revocation may find no row while the first still
        waits.
        """
        group = Group.objects.create(name="clerks")
        leased.user.groups.add(group)
        group.permissions.add(Permission.objects.all()[0])
        waits.clear()
        self.WAYS[way](leased)
        assert waits
        assert not any(waits)

    def test_outlast_follows_a_save_of_the_same_row_by_another_model(
        self, leased: Caller, waits: list[bool], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """With multi-table inheritance a parent and a child of the user model save the same ``is_active``."""
        with isolate_apps("tests"):

            class Clerk(User):
                class Meta:
                    app_label = "tests"

        with connection.schema_editor() as editor:
            editor.create_model(Clerk)
        try:
            values = {field.attname: getattr(leased.user, field.attname) for field in User._meta.concrete_fields}
            clerk = Clerk(user_ptr_id=leased.user.pk, **values | {"is_active": False})
            waits.clear()
            clerk.save()
            assert waits, "the row of the child is new, the user is not"
            monkeypatch.setattr(receivers, "get_user_model", lambda: Clerk)
            waits.clear()
            User.objects.get(pk=clerk.pk).save()
            assert waits, "the parent has the user's is_active"
            waits.clear()
            User.objects.create(username="new")
            assert not waits
        finally:
            with connection.schema_editor() as editor:
                editor.delete_model(Clerk)

    def test_outlast_is_not_made_for_a_login(self, leased: Caller, waits: list[bool]) -> None:
        leased.user.save(update_fields=["last_login"])
        assert not waits

    def test_outlast_is_once_for_a_transaction(self, leased: Caller, waits: list[bool]) -> None:
        with transaction.atomic():
            leases.outlast()
            Session.objects.all().end()
            with pytest.raises(OperationalError), transaction.atomic():
                leases.outlast()
                raise OperationalError
        assert waits == [False]

    def test_outlast_is_not_lost_with_a_savepoint(self, leased: Caller, waits: list[bool]) -> None:
        with transaction.atomic():
            with pytest.raises(OperationalError), transaction.atomic():
                leases.outlast()
                raise OperationalError
            leases.outlast()
        assert waits == [False]

    def test_outlast_takes_longer_than_the_lease(self, caller: Caller, settings: Any) -> None:
        settings.SECURECORE = settings.SECURECORE | {"LEASE_MS": 50}
        began = leases.clock()
        leases.outlast()
        assert leases.clock() - began > 0.06

    def test_outlast_is_not_there_without_leases(self, caller: Caller, monkeypatch: Any) -> None:
        monkeypatch.setattr("time.sleep", pytest.fail)
        leases.outlast()


def _saved(user: User, **changed: Any) -> None:
    for name, value in changed.items():
        setattr(user, name, value)
    user.save()


def test_the_clock_counts_while_a_machine_sleeps() -> None:
    assert leases._CLOCK == time.CLOCK_BOOTTIME
    assert abs(leases.clock() - time.clock_gettime(time.CLOCK_BOOTTIME)) < 1

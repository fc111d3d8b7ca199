from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, connection, transaction
from django.views import View

from securecore import clock
from securecore.errors import Misuse, PermissionDenied
from securecore.events import GrantGiven, GrantRevoked, happened
from securecore.grants import Gate, Grant, authorize, grant, principal_of, revoke
from securecore.http.decorators import requires
from securecore.revocation import disable_client, revoke_all_grants, revoke_grant
from tests.events.recorder import recorded
from tests.support.functions import without_functions
from tests.support.views import effects, make_effect

ALICE, MAKE = "user:1001", "things.make"

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _people() -> None:
    User.objects.create(pk=1001, username="alice of the grants")
    User.objects.create(pk=1002, username="bob of the grants")


@pytest.fixture
def granted(now: Any) -> None:
    grant(principal=ALICE, permission=MAKE, now=now)


class TestAuthorize:
    def test_authorize_runs_the_block_for_who_holds_the_permission(self, granted: None) -> None:
        with authorize(ALICE, MAKE, clock=clock.now) as held:
            make_effect()
        assert held.permission == MAKE
        assert effects() == 1

    @pytest.mark.parametrize(
        ("principal", "permission"),
        [("user:1002", MAKE), (ALICE, "things.mak"), (ALICE, "things.makes"), ("user:10011", MAKE), (ALICE, "things")],
    )
    def test_authorize_refuses_everybody_else(self, granted: None, principal: str, permission: str) -> None:
        with pytest.raises(PermissionDenied), authorize(principal, permission, clock=clock.now):
            make_effect()
        assert effects() == 0

    def test_authorize_undoes_the_effect_of_a_block_that_fails(self, granted: None) -> None:
        with pytest.raises(ZeroDivisionError), authorize(ALICE, MAKE, clock=clock.now):
            make_effect()
            raise ZeroDivisionError
        assert effects() == 0

    def test_authorize_joins_an_open_transaction(self, granted: None) -> None:
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            with authorize(ALICE, MAKE, clock=clock.now):
                make_effect()
            raise ZeroDivisionError
        assert effects() == 0

    def test_authorize_teaches_inside_a_savepoint(self, granted: None) -> None:
        with (
            pytest.raises(Misuse, match="savepoint"),
            transaction.atomic(),
            transaction.atomic(),
            authorize(ALICE, MAKE, clock=clock.now),
        ):
            make_effect()

    def test_authorize_allows_savepoints_inside_it(self, granted: None) -> None:
        with authorize(ALICE, MAKE, clock=clock.now), transaction.atomic():
            make_effect()
        assert effects() == 1

    def test_authorize_takes_the_gate_before_it_reads_the_permission(
        self, granted: None, django_assert_num_queries: Any
    ) -> None:
        """On PostgreSQL one function does both, as two statements; without the function two statements are sent."""
        with django_assert_num_queries(3) as captured, authorize(ALICE, MAKE, clock=clock.now):
            pass
        if connection.vendor == "sqlite":
            assert "securecore_grant" in captured.captured_queries[-2]["sql"]
            return
        assert "securecore_gate_check_" in captured.captured_queries[-2]["sql"]
        with (
            without_functions(),
            django_assert_num_queries(4) as captured,
            authorize(ALICE, MAKE, clock=clock.now),
        ):
            pass
        _, locking, reading, _ = (query["sql"] for query in captured.captured_queries)
        assert "pg_advisory_xact_lock_shared" in locking
        assert "securecore_grant" in reading
        assert "pg_advisory" not in reading


@pytest.mark.django_db(transaction=True)
def test_a_new_grant_is_an_event_once_it_has_committed(now: Any) -> None:
    with recorded() as events:
        with transaction.atomic():
            grant(principal=ALICE, permission=MAKE, now=now)
            assert events == []
        assert events == [GrantGiven(principal=ALICE, permission=MAKE)]
        grant(principal=ALICE, permission=MAKE, now=now)
        assert len(events) == 1, "the grant is not new"
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            grant(principal=ALICE, permission="things.break", now=now)
            raise ZeroDivisionError
        assert len(events) == 1


class TestGrant:
    def test_grant_is_given_once(self, now: Any) -> None:
        assert grant(principal=ALICE, permission=MAKE, now=now)
        assert not grant(principal=ALICE, permission=MAKE, now=now)
        assert Grant.objects.not_revoked().count() == 1

    def test_grant_can_be_given_again_after_it_was_revoked(self, granted: None, now: Any) -> None:
        revoke(principal=ALICE, permission=MAKE, now=now)
        assert grant(principal=ALICE, permission=MAKE, now=now)
        assert Grant.objects.count() == 2  # the first one is history

    def test_grant_cannot_live_twice_whatever_the_code_does(self, granted: None, now: Any) -> None:
        with pytest.raises(IntegrityError, match=r"sc_grant_live_once|UNIQUE"):
            Grant.objects.create(principal=ALICE, permission=MAKE, granted_at=now)

    def test_grant_and_revocation_count_the_epoch(self, granted: None, now: Any) -> None:
        assert Gate.objects.get(principal=ALICE).epoch == 1
        revoke(principal=ALICE, permission=MAKE, now=now)
        assert Gate.objects.get(principal=ALICE).epoch == 2
        revoke(principal=ALICE, permission=MAKE, now=now)
        assert Gate.objects.get(principal=ALICE).epoch == 2

    def test_user_in_place_of_a_principal_teaches_the_call(self, now: Any) -> None:
        with pytest.raises(Misuse, match="principal_of"):
            grant(principal=User.objects.first(), permission=MAKE, now=now)  # type: ignore[arg-type]


class TestRevokeGrant:
    def test_revoke_grant_holds_at_once(self, granted: None) -> None:
        assert revoke_grant(principal=ALICE, permission=MAKE)
        with pytest.raises(PermissionDenied), authorize(ALICE, MAKE, clock=clock.now):
            pass

    def test_revoke_grant_says_when_there_was_nothing_to_take(self) -> None:
        assert not revoke_grant(principal=ALICE, permission=MAKE)

    def test_revoke_grant_is_an_event(self, granted: None) -> None:
        heard: list[Any] = []

        def hear(event: Any, **_: Any) -> None:
            heard.append(event)

        happened.connect(hear, sender=GrantRevoked)
        try:
            revoke_grant(principal=ALICE, permission=MAKE)
        finally:
            happened.disconnect(hear, sender=GrantRevoked)
        assert heard == [GrantRevoked(principal=ALICE, permission=MAKE)]

    @pytest.mark.parametrize(
        "revoke",
        [
            lambda: revoke_grant(principal=ALICE, permission=MAKE),
            lambda: revoke_all_grants(principal=ALICE),
            lambda: disable_client("payments"),
        ],
    )
    def test_revoke_grant_teaches_inside_a_transaction_that_could_undo_it(
        self, granted: None, revoke: Callable[[], Any]
    ) -> None:
        with pytest.raises(Misuse, match="commit by itself"), transaction.atomic():
            revoke()


@pytest.mark.urls("tests.support.views")
class TestRequires:
    def test_on_a_class_teaches_its_place(self) -> None:
        with pytest.raises(Misuse, match="method_decorator"):
            requires(MAKE)(View)

    def test_requires_serves_who_holds_the_permission(self, mtls_client: Any, users: Any) -> None:
        grant(principal=principal_of(users["alice"]), permission=MAKE, now=clock.now())
        assert mtls_client("alice").post("/guarded").status_code == 201
        assert mtls_client("bob").post("/guarded").status_code == 403
        assert effects() == 1

    def test_requires_refuses_with_a_problem(self, mtls_client: Any) -> None:
        response = mtls_client("alice").post("/guarded")
        assert response["Content-Type"] == "application/problem+json"
        assert response.json()["code"] == "permission-denied"

    def test_requires_asks_an_unknown_caller_to_authenticate(self, mtls_client: Any) -> None:
        assert mtls_client(None).post("/guarded").json()["code"] == "authentication-required"

    def test_requires_undoes_the_effect_of_a_view_that_fails(self, mtls_client: Any, users: Any) -> None:
        grant(principal=principal_of(users["alice"]), permission=MAKE, now=clock.now())
        client = mtls_client("alice", raise_request_exception=False)
        assert client.post("/guarded?outcome=broken").status_code == 500
        assert effects() == 0

"""The effective grants of a caller: its own, its groups' and its roles', and the denials."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.db import IntegrityError, connection, transaction

from securecore import clock
from securecore.errors import Misuse, PermissionDenied
from securecore.grants import (
    Decision,
    Grant,
    authorization,
    decide,
    gate,
    late_gate,
    principal_of,
    principals,
    revoke,
    revoke_all,
)
from securecore.models import Certificate, Client
from tests.grants.conftest import MAKE

pytestmark = pytest.mark.django_db

Give = Callable[..., bool]
HOUR = dt.timedelta(hours=1)


def decision(*names: str, permission: str = MAKE, obj: Any = None) -> Decision:
    with transaction.atomic():
        return decide(names, permission, obj, clock=clock.now)


def reason(*names: str, permission: str = MAKE, obj: Any = None) -> str:
    return decision(*names, permission=permission, obj=obj).reason


class TestPrincipals:
    def test_principals_of_every_kind_can_be_granted_something(self, alice: str, group: Group, give: Give) -> None:
        service, certificate = principals.service("s"), principals.certificate("c" * 43)
        for name in (alice, service, certificate, principals.group(group), principals.role("maker")):
            give(name, f"by.{name.partition(':')[0]}")
        give(alice, "role:maker")
        held = {kind: reason(alice, service, certificate, permission=f"by.{kind}") for kind in KINDS}
        assert held == dict.fromkeys(KINDS, "granted")
        alone = {kind: reason(alice, permission=f"by.{kind}") for kind in KINDS}
        assert [kind for kind, answer in alone.items() if answer == "granted"] == ["user", "group", "role"]

    @pytest.mark.parametrize("name", ["", "alice", "user:", "robot:1", "1"])
    def test_principals_of_no_kind_are_misuse(self, name: str, give: Give) -> None:
        with pytest.raises(Misuse, match="principal_of"):
            give(name)

    @pytest.mark.parametrize("name", ["group:1", "role:maker", "alice", ""])
    def test_principals_that_do_not_act_are_misuse(self, name: str) -> None:
        with pytest.raises(Misuse, match="cannot be a caller"):
            decision(name)

    def test_principals_are_one_user_at_a_time(self, alice: str) -> None:
        with pytest.raises(Misuse, match="two users"):
            decision(alice, "user:2")


KINDS = ("user", "service", "certificate", "group", "role")


class TestCallerState:
    def test_caller_state_of_a_user_who_is_not_active(self, alice: str, user: User, give: Give) -> None:
        give(alice)
        User.objects.filter(pk=user.pk).update(is_active=False)
        assert reason(alice) == "user-inactive"

    @pytest.mark.parametrize("name", ["user:999999", "user:nobody"])
    def test_caller_state_of_a_user_who_is_not_there(self, name: str, now: dt.datetime) -> None:
        Grant.objects.create(principal=name, permission=MAKE, granted_at=now)
        assert reason(name) == "user-inactive"

    def test_caller_state_of_a_revoked_certificate(self, alice: str, give: Give, now: dt.datetime) -> None:
        give(alice)
        Certificate.objects.create(thumbprint="t" * 43, not_after=now + HOUR, enrolled_at=now, revoked_at=now)
        assert reason(alice, principals.certificate("t" * 43)) == "certificate-revoked"
        assert reason(alice, principals.certificate("u" * 43)) == "granted"

    def test_caller_state_of_a_certificate_whose_user_is_not_active(
        self, user: User, give: Give, now: dt.datetime
    ) -> None:
        Certificate.objects.create(thumbprint="t" * 43, user=user, not_after=now + HOUR, enrolled_at=now)
        give(principals.certificate("t" * 43))
        assert reason(principals.certificate("t" * 43)) == "granted"
        User.objects.filter(pk=user.pk).update(is_active=False)
        assert reason(principals.certificate("t" * 43)) == "user-inactive"

    def test_caller_state_of_a_disabled_service(self, alice: str, user: User, give: Give, now: dt.datetime) -> None:
        give(alice)
        Client.objects.create(client_id="s", user=user, created_at=now, disabled_at=now)
        assert reason(alice, principals.service("s")) == "service-disabled"


class TestDenial:
    @pytest.mark.parametrize("denied", ["user", "group", "role"])
    def test_denial_wins_wherever_it_comes_from(self, alice: str, group: Group, give: Give, denied: str) -> None:
        sources = {"user": alice, "group": principals.group(group), "role": principals.role("maker")}
        give(alice, "role:maker")
        for name in sources.values():
            give(name)
        assert reason(alice) == "granted"
        give(sources[denied], denies=True)
        assert reason(alice) == "denied"

    def test_denial_of_a_role_takes_what_the_role_gives(self, alice: str, group: Group, give: Give) -> None:
        give(principals.role("maker"))
        give(principals.group(group), "role:maker")
        assert reason(alice) == "granted"
        give(alice, "role:maker", denies=True)
        assert reason(alice) == "no-grant"

    def test_denial_is_lifted_by_revoking_it(self, alice: str, give: Give, now: dt.datetime) -> None:
        give(alice)
        give(alice, denies=True)
        assert revoke(principal=alice, permission=MAKE, denies=True, now=now)
        assert reason(alice) == "granted"


class TestObject:
    def test_object_is_the_only_one_that_the_grant_is_about(
        self, alice: str, user: User, group: Group, give: Give
    ) -> None:
        other = Group.objects.create(name="others")
        give(alice, obj=group)
        assert [reason(alice, obj=obj) for obj in (group, other, user, None)] == ["granted", *["no-grant"] * 3]

    def test_object_is_covered_by_a_grant_on_none(self, alice: str, group: Group, give: Give) -> None:
        give(alice)
        assert reason(alice, obj=group) == "granted"

    def test_object_can_be_excepted(self, alice: str, group: Group, give: Give) -> None:
        give(alice)
        give(alice, obj=group, denies=True)
        assert (reason(alice, obj=group), reason(alice)) == ("denied", "granted")

    def test_object_of_a_proxy_model_is_that_of_its_model(self, alice: str, group: Group, give: Give) -> None:
        class Team(Group):
            class Meta:
                proxy = True
                app_label = "auth"

        give(alice, obj=group)
        assert reason(alice, obj=Team.objects.get(pk=group.pk)) == "granted"

    def test_object_has_to_be_saved(self, alice: str) -> None:
        with pytest.raises(Misuse, match="saved"):
            decision(alice, obj=Group(name="new"))

    def test_object_read_from_another_database_is_misuse(self, alice: str, group: Group) -> None:
        group._state.db = "replica"
        with pytest.raises(Misuse, match=r"DATABASES\['replica'\].*replica may"):
            decision(alice, obj=group)


class TestWindow:
    @pytest.mark.parametrize(
        ("begins", "ends", "expected"),
        [(-1, 1, "granted"), (1, 2, "no-grant"), (-2, -1, "no-grant"), (None, 1, "granted"), (-1, None, "granted")],
    )
    def test_window_decides(
        self, alice: str, give: Give, now: dt.datetime, begins: int | None, ends: int | None, expected: str
    ) -> None:
        limits = {"valid_from": begins, "valid_until": ends}
        give(
            alice,
            now=now - 3 * HOUR,
            **{name: None if hours is None else now + hours * HOUR for name, hours in limits.items()},
        )
        assert reason(alice) == expected

    def test_window_of_a_role_decides_what_it_gives(self, alice: str, give: Give, now: dt.datetime) -> None:
        give(principals.role("maker"))
        give(alice, "role:maker", valid_until=now - HOUR, now=now - 2 * HOUR)
        assert reason(alice) == "no-grant"

    def test_window_ends_on_the_instant(self, alice: str, give: Give, now: dt.datetime) -> None:
        give(alice, valid_until=now, now=now - HOUR)
        with transaction.atomic():
            before = decide(alice, MAKE, clock=lambda: now - dt.timedelta(microseconds=1))
            at = decide(alice, MAKE, clock=lambda: now)
        assert (bool(before), bool(at)) == (True, False)


class TestDjangoPermissions:
    @pytest.fixture(autouse=True)
    def _on(self, settings: Any) -> None:
        settings.SECURECORE = settings.SECURECORE | {"DJANGO_PERMISSIONS": True}

    @pytest.fixture
    def permission(self) -> Permission:
        return Permission.objects.get(content_type__app_label="auth", codename="add_group")

    def test_django_permissions_of_the_user_count(self, alice: str, user: User, permission: Permission) -> None:
        user.user_permissions.add(permission)
        assert [reason(alice, permission=f"auth.{name}_group") for name in ("add", "change")] == ["granted", "no-grant"]

    def test_django_permissions_of_a_group_count(self, alice: str, group: Group, permission: Permission) -> None:
        group.permissions.add(permission)
        assert reason(alice, permission="auth.add_group") == "granted"

    def test_django_permissions_of_a_superuser_are_all(self, alice: str, user: User) -> None:
        User.objects.create(username="carol", is_superuser=True)
        assert reason(alice, permission="any.thing") == "no-grant"
        User.objects.filter(pk=user.pk).update(is_superuser=True)
        assert reason(alice, permission="any.thing") == "granted"

    def test_django_permissions_are_denied_as_others_are(self, alice: str, user: User, give: Give) -> None:
        User.objects.filter(pk=user.pk).update(is_superuser=True)
        give(alice, denies=True)
        assert reason(alice) == "denied"

    def test_django_permissions_do_not_count_unless_they_are_wanted(
        self, alice: str, user: User, settings: Any
    ) -> None:
        settings.SECURECORE = settings.SECURECORE | {"DJANGO_PERMISSIONS": False}
        User.objects.filter(pk=user.pk).update(is_superuser=True)
        assert reason(alice, permission="any.thing") == "no-grant"


class TestRules:
    """The constraints of the database, which hold for every code."""

    @pytest.mark.parametrize(
        ("rule", "values"),
        [
            ("sc_grant_object", {"object_type": "auth.group"}),
            ("sc_grant_object", {"object_id": "1"}),
            ("sc_grant_allowance", {"uses_limit": 0}),
            ("sc_grant_allowance", {"amount_limit": -1}),
            ("sc_grant_allowance", {"period": 60}),
            ("sc_grant_allowance", {"uses_limit": 1, "denies": True}),
            ("sc_grant_role", {"principal": "role:a", "permission": "role:b"}),
            ("sc_grant_role", {"permission": "role:b", "uses_limit": 1}),
            ("sc_grant_role", {"permission": "role:b", "object_type": "auth.group", "object_id": "1"}),
        ],
    )
    def test_rules_hold(self, now: dt.datetime, rule: str, values: dict[str, Any]) -> None:
        row = {"principal": "user:1", "permission": MAKE, "granted_at": now} | values
        with pytest.raises(IntegrityError, match=rule):
            Grant.objects.create(**row)

    def test_rules_hold_for_windows(self, now: dt.datetime) -> None:
        with pytest.raises(IntegrityError, match="sc_grant_window"):
            Grant.objects.create(principal="a", permission="b", granted_at=now, valid_from=now, valid_until=now - HOUR)


def test_everything_of_a_principal_is_revoked_but_its_denials(alice: str, group: Group, give: Give) -> None:
    give(alice)
    give(alice, obj=group)
    give(alice, "role:maker")
    give(alice, "things.break", denies=True)
    give("user:4711")
    assert revoke_all(principal=alice, now=clock.now()) == 3
    assert Grant.objects.not_revoked().filter(principal=alice).count() == 1
    assert Grant.objects.not_revoked().filter(principal="user:4711").exists()


@pytest.mark.django_db(transaction=True)
def test_a_check_is_one_statement_however_many_names(
    alice: str, group: Group, give: Give, django_assert_num_queries: Any
) -> None:
    """Except the first check of a caller, which has to read its groups and roles to enter their gates."""
    names = (alice, "service:s", "certificate:c")
    give(principals.group(group), "role:maker")
    give(principals.role("maker"))
    is_sqlite = connection.vendor == "sqlite"

    def check(statements: int, *belongs_to: str) -> None:
        with transaction.atomic():
            with django_assert_num_queries(1 if is_sqlite else statements):
                assert decide(names, MAKE, clock=clock.now)
            entered = _gates_held()
        with transaction.atomic():
            gate.close(*names, *belongs_to)
            assert _gates_held() == entered

    first, role = principals.group(group), "role:maker"
    check(3, first, role)
    check(1, first, role)
    other = Group.objects.create(name="others")
    other.user_set.add(*group.user_set.all())
    check(3, first, role, principals.group(other))
    check(1, first, role, principals.group(other))
    other.user_set.clear()
    check(1, first, role, principals.group(other))  # the last principal is new to the process
    check(1, first, role)


def _gates_held() -> set[tuple[int, int]]:
    if connection.vendor == "sqlite":
        return set()
    with connection.cursor() as cursor:
        cursor.execute("SELECT classid, objid FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()")
        return set(cursor.fetchall())


def test_what_is_known_of_callers_is_bounded(
    alice: str, group: Group, give: Give, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert authorization._groups.size == 1_024
    monkeypatch.setattr(authorization._groups, "size", 3)
    give(alice)
    for number in range(9):
        with transaction.atomic():
            assert decide((alice, f"service:{number}"), MAKE, clock=clock.now)
    assert len(authorization._groups) == 3


def test_a_late_gate_checks_any_number_of_permissions_again_in_one_statement(
    alice: str, give: Give, user: User, django_assert_num_queries: Any
) -> None:
    for permission in (MAKE, "things.break"):
        give(alice, permission)
    with transaction.atomic(), late_gate(alice, clock=clock.now) as late:
        late.require(MAKE)
        late.require(MAKE, user)
        late.require("things.break")
        with django_assert_num_queries(1):
            late.close()


def test_a_late_gate_asks_for_everything_again(alice: str, give: Give, group: Group) -> None:
    """Not only the permission that was read first."""
    for last in ("things.break", "things.mend"):
        for permission in (MAKE, "things.break", "things.mend"):
            give(alice, permission, obj=group)
        with pytest.raises(PermissionDenied), late_gate(alice, clock=clock.now) as late:
            for permission in (MAKE, "things.break", "things.mend"):
                late.require(permission, group)
            revoke(principal=alice, permission=last, obj=group, now=clock.now())


def test_principal_of_names_the_user(user: User) -> None:
    assert principal_of(user) == f"user:{user.pk}"

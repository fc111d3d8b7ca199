"""Triggers see changes outside securecore, on every database. tests/races has the waits."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.core.management import call_command
from django.db import connection, models, transaction
from django.db.migrations.executor import MigrationExecutor

from securecore import clock, tokens
from securecore.checks.grants import w606_triggers
from securecore.grants import Gate, Grant, note_change, principals, revoke, triggers
from securecore.grants.triggers.dialect import PREFIX
from securecore.grants.triggers.rules import AUDIT_KEPT, every_rule
from securecore.models import Certificate, Client, RefreshFamily, Session
from tests.grants.conftest import MAKE

pytestmark = pytest.mark.django_db

Give = Callable[..., bool]
HOUR = dt.timedelta(hours=1)


def epoch(principal: str) -> int:
    return Gate.objects.filter(principal=principal).values_list("epoch", flat=True).first() or 0


def sql(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


class Counted:
    """`with Counted(alice): change()` asserts that her epoch grows."""

    def __init__(self, *names: str) -> None:
        self.names = names

    def __enter__(self) -> None:
        self.before = {name: epoch(name) for name in self.names}

    def __exit__(self, kind: Any, *_: object) -> None:
        assert kind or not [name for name in self.names if epoch(name) <= self.before[name]]


@pytest.fixture
def session(user: User, now: dt.datetime) -> Session:
    return Session.objects.create(
        id=uuid.uuid4(),
        user=user,
        data="",
        certificate="t",
        created_at=now,
        last_seen_at=now,
        expires_at=now + HOUR,
        ends_at=now + HOUR,
    )


@pytest.fixture
def family(user: User, now: dt.datetime) -> RefreshFamily:
    return RefreshFamily.objects.create(
        id=uuid.uuid4(),
        user=user,
        client_id="c",
        binding="x5t#S256:t",
        rotates=True,
        created_at=now,
        expires_at=now + HOUR,
    )


@pytest.fixture
def certificate(user: User, now: dt.datetime) -> Certificate:
    return Certificate.objects.create(thumbprint="t", user=user, not_after=now + HOUR, enrolled_at=now)


class TestGrant:
    def test_grant_counts_when_it_is_given_changed_and_taken(self, alice: str, give: Give, now: dt.datetime) -> None:
        with Counted(alice):
            give(alice)
        rows = Grant.objects.filter(principal=alice)
        with Counted(alice):
            rows.update(valid_until=now + HOUR)
        with Counted(alice):
            rows.update(revoked_at=now)
        before = epoch(alice)
        rows.update(revoked_at=now - HOUR)
        rows.delete()
        assert epoch(alice) == before, "history concerns nobody"

    def test_grant_counts_when_it_is_deleted(self, alice: str, give: Give) -> None:
        give(alice)
        with Counted(alice):
            sql("DELETE FROM securecore_grant")

    def test_grant_counts_for_both_when_it_moves(self, alice: str, give: Give) -> None:
        give(alice)
        with Counted(alice, "user:4711"):
            Grant.objects.update(principal="user:4711")

    def test_grant_that_does_not_change_counts_nothing(self, alice: str, give: Give) -> None:
        give(alice)
        before = epoch(alice)
        Grant.objects.update(permission=MAKE)
        assert epoch(alice) == before

    def test_grant_that_has_run_out_is_purged_without_counting(self, alice: str, give: Give, now: dt.datetime) -> None:
        give(alice, valid_until=now - HOUR, now=now - 2 * HOUR)
        before = epoch(alice)
        sql("DELETE FROM securecore_grant")
        assert epoch(alice) == before

    def test_grant_of_a_group_counts_for_its_members(self, alice: str, group: Group, give: Give) -> None:
        with Counted(alice, principals.group(group)):
            give(principals.group(group))
        with Counted(alice):
            Grant.objects.update(revoked_at=clock.now())

    def test_grant_of_a_role_counts_for_its_holders(self, alice: str, group: Group, give: Give) -> None:
        give(principals.group(group), "role:maker")
        certificate = principals.certificate("t" * 43)
        give(certificate, "role:maker")
        with Counted(alice, principals.group(group), certificate, "role:maker"):
            give("role:maker")
        revoke(principal=principals.group(group), permission="role:maker", now=clock.now())
        before = epoch(alice)
        give("role:maker", "things.break")
        assert epoch(alice) == before

    def test_grant_given_in_bulk_ignoring_conflicts_counts(self, alice: str, now: dt.datetime) -> None:
        """On SQLite the statement's OR IGNORE also applies inside the trigger."""
        with Counted(alice):
            Grant.objects.bulk_create([Grant(principal=alice, permission="a", granted_at=now)], ignore_conflicts=True)
        with Counted(alice):
            Grant.objects.bulk_create([Grant(principal=alice, permission="b", granted_at=now)], ignore_conflicts=True)


class TestUser:
    @pytest.mark.parametrize("change", [{"is_active": False}, {"is_staff": True}, {"is_superuser": True}])
    def test_user_by_update_counts(self, alice: str, user: User, change: dict[str, Any]) -> None:
        with Counted(alice):
            User.objects.filter(pk=user.pk).update(**change)

    def test_user_by_sql_counts(self, alice: str, user: User) -> None:
        with Counted(alice):
            sql(f"UPDATE auth_user SET is_staff = NOT is_staff WHERE id = {user.pk}")

    @pytest.mark.parametrize("change", [{"is_active": False}, {"is_staff": True}, {"is_superuser": True}])
    @pytest.mark.parametrize("way", ["save", "update", "SQL"])
    def test_user_counts_once_whichever_way_it_changes(
        self, alice: str, user: User, change: dict[str, Any], way: str
    ) -> None:
        before = epoch(alice)
        ((name, value),) = change.items()
        if way == "save":
            setattr(user, name, value)
            user.save()
        elif way == "update":
            User.objects.filter(pk=user.pk).update(**change)
        else:
            sql(f"UPDATE auth_user SET {name} = {value} WHERE id = {user.pk}")
        assert epoch(alice) == before + 1

    def test_user_that_only_logs_in_counts_nothing(self, alice: str, user: User, now: dt.datetime) -> None:
        before = epoch(alice)
        User.objects.filter(pk=user.pk).update(last_login=now)
        assert epoch(alice) == before

    def test_user_deactivated_loses_what_it_had(
        self, alice: str, user: User, session: Session, family: RefreshFamily
    ) -> None:
        issued = tokens.epochs.current(alice)
        User.objects.filter(pk=user.pk).update(is_active=False)
        assert not Session.objects.exists()
        family.refresh_from_db()
        assert family.revoked_at is not None
        assert abs(family.revoked_at - clock.now()) < dt.timedelta(minutes=1)
        assert tokens.epochs.current(alice) > issued

    def test_user_deleted_leaves_no_session(self, user: User, session: Session) -> None:
        sql(f"DELETE FROM auth_user WHERE id = {user.pk}")
        assert not Session.objects.exists()


class TestMembership:
    def test_membership_counts_whichever_way_it_changes(self, alice: str, user: User) -> None:
        group = Group.objects.create(name="people")
        for change in (
            lambda: group.user_set.add(user),
            lambda: user.groups.clear(),
            lambda: User.groups.through.objects.create(user=user, group=group),
            lambda: User.groups.through.objects.update(group=Group.objects.create(name="others")),
            lambda: sql("DELETE FROM auth_user_groups"),
            lambda: user.groups.set([group]),
            group.delete,
        ):
            with Counted(alice):
                change()

    def test_membership_counts_once(self, alice: str, user: User) -> None:
        group = Group.objects.create(name="people")
        before = epoch(alice)
        user.groups.add(group)
        assert epoch(alice) == before + 1
        group.user_set.remove(user)
        assert epoch(alice) == before + 2

    def test_membership_from_before_the_triggers_counts_when_it_ends(self, alice: str, user: User) -> None:
        """SQLite's trigger for DELETE inserts no gate, so the gate must be there before."""
        triggers.remove()
        group = Group.objects.create(name="people")
        User.groups.through.objects.create(user=user, group=group)
        triggers.install()
        with Counted(alice):
            sql("DELETE FROM auth_user_groups")


class TestDjangoPermission:
    def test_django_permission_of_a_user_and_of_a_group_counts(self, alice: str, user: User, group: Group) -> None:
        permission = Permission.objects.first()
        assert permission
        for holder in (user.user_permissions, group.permissions):
            with Counted(alice):
                holder.add(permission)
            with Counted(alice):
                holder.through.objects.all().delete()

    def test_django_permission_that_is_deleted_counts(self, alice: str, group: Group) -> None:
        permission = Permission.objects.first()
        assert permission
        group.permissions.add(permission)
        with Counted(alice):
            permission.delete()


class TestCertificate:
    def test_certificate_revoked_by_update_ends_what_is_bound_to_it(
        self, certificate: Certificate, session: Session, family: RefreshFamily
    ) -> None:
        with Counted("certificate:t"):
            Certificate.objects.update(revoked_at=clock.now())
        assert not Session.objects.exists()
        assert not RefreshFamily.objects.filter(revoked_at=None).exists()

    def test_certificate_given_to_another_counts(self, certificate: Certificate) -> None:
        with Counted("certificate:t"):
            Certificate.objects.update(user=None)

    def test_certificate_inserted_as_revoked_ends_what_is_bound_to_it(self, session: Session, now: dt.datetime) -> None:
        with Counted("certificate:t"):
            Certificate.objects.create(thumbprint="t", not_after=now + HOUR, enrolled_at=now, revoked_at=now)
        assert not Session.objects.exists()

    def test_certificate_that_expired_is_purged_without_counting(
        self, certificate: Certificate, now: dt.datetime
    ) -> None:
        Certificate.objects.update(not_after=now - HOUR)
        before = epoch("certificate:t")
        Certificate.objects.all()._raw_delete(using="default")
        assert epoch("certificate:t") == before


def test_a_client_counts(user: User, now: dt.datetime) -> None:
    Client.objects.create(client_id="c", user=user, created_at=now)
    with Counted("service:c"):
        Client.objects.update(disabled_at=now)
    with Counted("service:c"):
        Client.objects.update(disabled_at=None)


def test_note_change_counts_what_no_trigger_sees(alice: str) -> None:
    with Counted(alice, "user:4711"):
        note_change(alice, "user:4711")


class TestBeingThere:
    def test_being_there_none_is_missing(self) -> None:
        assert triggers.missing() == []
        assert w606_triggers(databases=["default"]) == []

    def test_being_there_a_missing_one_is_named_and_comes_back(self) -> None:
        (table, name), *_ = triggers._dialect().installed()  # type: ignore[union-attr]
        sql(f'DROP TRIGGER {name} ON "{table}"' if connection.vendor == "postgresql" else f"DROP TRIGGER {name}")
        assert triggers.missing() == [name]
        assert [problem.id for problem in w606_triggers(databases=["default"])] == ["securecore.W606"]
        assert w606_triggers(databases=None) == []
        triggers.install()
        assert triggers.missing() == []

    def test_being_there_all_of_them_can_be_taken_away(self) -> None:
        triggers.remove()
        assert len(triggers.missing()) == len(every_rule(triggers._dialect()))  # type: ignore[arg-type]
        triggers.install()
        assert triggers.missing() == []

    def test_being_there_installing_what_is_there_is_one_query(self, django_assert_num_queries: Any) -> None:
        with django_assert_num_queries(1):
            triggers.install()


@pytest.mark.django_db(transaction=True)
class TestSurviving:
    def test_surviving_a_flush(self, alice: str, give: Give) -> None:
        give(alice)
        call_command("flush", verbosity=0, interactive=False)
        assert triggers.missing() == []
        assert not Gate.objects.exists()

    @pytest.mark.skipif(connection.vendor != "sqlite", reason="only SQLite's flush deletes row by row")
    @pytest.mark.parametrize("found", ["", "CREATE TRIGGER {0} BEFORE DELETE ON securecore_audit BEGIN SELECT 1; END"])
    def test_surviving_a_flush_that_repairs_a_trigger(self, found: str) -> None:
        """``flush`` installs missing and outdated triggers (``post_migrate``), and they stay."""
        name = f"{PREFIX}{AUDIT_KEPT}"
        with connection.cursor() as cursor:
            cursor.execute(f"DROP TRIGGER {name}")
            if found:
                cursor.execute(found.format(name))
        call_command("flush", verbosity=0, interactive=False)
        assert triggers.missing() == []

    @pytest.mark.parametrize("model", [Gate, Session, Certificate])
    def test_surviving_a_table_that_a_migration_rebuilds(self, model: type[models.Model]) -> None:
        """SQLite creates another table and renames it, which fails if a trigger names the table."""
        name = model._meta.pk.name
        other = next(field for field in model._meta.concrete_fields if field.name != name and not field.is_relation)
        loose = other.clone()
        loose.null = not other.null
        loose.set_attributes_from_name(other.name)
        loose.model = model
        triggers.before_migrate(using="default")
        for old, new in ((other, loose), (loose, other)):
            with connection.schema_editor() as editor:
                editor.alter_field(model, old, new)
        triggers.after_migrate(using="default")
        assert triggers.missing() == []

    def test_surviving_an_unapplied_app(self, user: User) -> None:
        """The remaining triggers would name dropped tables, also if ``migrate`` fails halfway."""
        triggers.before_migrate(using="default")
        MigrationExecutor(connection).migrate([("securecore", None)])
        try:
            sql("UPDATE auth_user SET is_staff = NOT is_staff, is_active = NOT is_active")
        finally:
            call_command("migrate", "securecore", verbosity=0)
        assert triggers.missing() == []

    def test_surviving_other_databases_are_left_alone(self) -> None:
        triggers.remove()
        triggers.after_migrate(using="another")
        assert triggers.missing()
        triggers.after_migrate(using="default")
        assert not triggers.missing()


def test_a_savepoint_that_rolls_back_counts_nothing(alice: str, user: User) -> None:
    before = epoch(alice)
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        User.objects.filter(pk=user.pk).update(is_staff=True)
        raise ZeroDivisionError
    assert epoch(alice) == before

"""A database role that writes the project's tables needs the rights that docs/grants.md lists, and no other."""

from __future__ import annotations

import datetime as dt
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.db import ProgrammingError, connection, transaction

from securecore.grants import Gate, Grant, principals
from securecore.models import RefreshFamily, Session
from tests.grants.conftest import MAKE

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no roles"),
]

ROLE = "back_office"
MANUAL = Path(__file__).resolve().parents[2] / "docs" / "grants.md"
#: The rights for the project's own tables, which the role has before it needs securecore's.
OWN = (
    f"GRANT SELECT, INSERT, UPDATE, DELETE ON auth_user, auth_group, auth_user_groups, auth_group_permissions TO {ROLE}"
)


def rights() -> list[str]:
    """Return the GRANT statements of the manual."""
    return re.findall(rf"^GRANT [^;]+ TO {ROLE};", MANUAL.read_text(), re.MULTILINE)


def sql(*statements: str) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


@contextmanager
def as_role(*granted: str) -> Iterator[None]:
    """Run the block as a new role with these rights. The rollback of the test drops the role."""
    sql(f"CREATE ROLE {ROLE}", OWN, *granted, f"SET LOCAL ROLE {ROLE}")
    try:
        yield
    finally:
        sql("RESET ROLE")


@pytest.fixture
def member(users: dict[str, User], now: dt.datetime) -> User:
    """Alice, a member of a group, with a grant, a session and a refresh-token family, and without a certificate."""
    alice, until = users["alice"], now + dt.timedelta(hours=1)
    alice.certificates.all().delete()
    Group.objects.create(name="tellers").user_set.add(alice)
    Grant.objects.create(principal=principals.principal_of(alice), permission=MAKE, granted_at=now)
    times = {"created_at": now, "last_seen_at": now, "expires_at": until, "ends_at": until}
    Session.objects.create(id=uuid.uuid4(), user=alice, data="", certificate="t", **times)
    RefreshFamily.objects.create(
        id=uuid.uuid4(), user=alice, client_id="a", binding="b", rotates=True, created_at=now, expires_at=until
    )
    return alice


def test_manual_lists_rights() -> None:
    assert len(rights()) == 4


def test_role_with_these_rights_may_change_everything(member: User) -> None:
    group, permission = Group.objects.get(), Permission.objects.first()
    assert permission is not None
    name = principals.principal_of(member)
    with as_role(*rights()):
        sql(
            f"INSERT INTO auth_group_permissions (group_id, permission_id) VALUES ({group.pk}, {permission.pk})",
            f"UPDATE auth_user SET is_staff = true WHERE id = {member.pk}",
            f"UPDATE auth_user SET is_active = false WHERE id = {member.pk}",
            f"DELETE FROM auth_user_groups WHERE user_id = {member.pk}",
            f"DELETE FROM auth_group_permissions WHERE group_id = {group.pk}",
            f"DELETE FROM auth_group WHERE id = {group.pk}",
        )
    assert not Session.objects.exists()
    assert RefreshFamily.objects.get().revoked_at is not None
    assert Gate.objects.get(principal=name).epoch >= 3
    RefreshFamily.objects.all().delete()
    with as_role_again():
        sql(f"DELETE FROM auth_user WHERE id = {member.pk}")
    assert Grant.objects.get(principal=name).revoked_at is not None


@contextmanager
def as_role_again() -> Iterator[None]:
    sql(f"SET LOCAL ROLE {ROLE}")
    try:
        yield
    finally:
        sql("RESET ROLE")


@pytest.mark.parametrize("number", range(4))
def test_each_right_is_needed(member: User, number: int) -> None:
    others = [each for place, each in enumerate(rights()) if place != number]
    with pytest.raises(ProgrammingError, match="permission denied for table"), transaction.atomic():
        sql(f"CREATE ROLE {ROLE}", OWN.replace("auth_user_groups, ", ""), *others, f"SET LOCAL ROLE {ROLE}")
        sql(
            f"UPDATE auth_user SET is_active = false WHERE id = {member.pk}",
            f"DELETE FROM auth_user WHERE id = {member.pk}",
        )
    member.refresh_from_db()
    assert member.is_active, "without the right of its trigger a change does not happen"

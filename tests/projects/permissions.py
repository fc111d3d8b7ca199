"""The columns about permissions: grants of users and of groups, with Django's permissions and without."""

from __future__ import annotations

from django.contrib.auth.models import Group, Permission

from securecore.conf import settings
from securecore.grants import principal_of, principals
from securecore.revocation import remove_from_group
from tests.projects.calls import ABSENT, MAKE, epoch, give, made, may
from tests.projects.people import Person, flag, group_model, has_permissions


def grants() -> str | None:
    """A grant, a role and a denial count for their user, in ``has_perm()`` and behind the gate."""
    alice, bob = Person("alice"), Person("bob")
    assert alice.client.post("/make").status_code == 403
    give(principal_of(alice.user), MAKE)
    made(alice)
    assert bob.client.post("/make").status_code == 403
    assert (may(alice, MAKE), may(bob, MAKE)) == (True, False)
    give(principal_of(bob.user), "role:maker")
    give(principals.role("maker"), MAKE)
    made(bob)
    assert may(bob, MAKE)
    give(principal_of(bob.user), MAKE, denies=True)
    assert bob.client.post("/make").status_code == 403
    if settings.DJANGO_PERMISSIONS and flag("is_superuser"):
        carol = Person("carol")
        assert carol.client.post("/make").status_code == 403
        assert not may(carol, MAKE)
        carol.row.update(is_superuser=True)
        made(carol)
        assert may(carol, MAKE)
    if settings.DJANGO_PERMISSIONS and has_permissions():
        assert alice.client.post("/add-group").status_code == 403
        alice.user.user_permissions.add(Permission.objects.get(codename="add_group"))
        assert alice.client.post("/add-group").status_code == 201
        assert may(alice, "auth.add_group")
    return None


def groups() -> str | None:
    """A group's grants count for its members, from joining to leaving, by each way of Django."""
    model = group_model()
    alice = Person("alice")
    if model is None:
        return _no_groups(alice)
    group = model.objects.create(name="makers")
    give(principals.group(group), MAKE)
    for leave in (
        lambda: alice.user.groups.clear(),
        lambda: alice.user.groups.through.objects.all().delete(),
        lambda: remove_from_group(user=alice.user, group=group),
    ):
        assert alice.client.post("/make").status_code == 403
        alice.joins(group)
        made(alice)
        assert may(alice, MAKE)
        before = epoch(principal_of(alice.user))
        leave()
        assert epoch(principal_of(alice.user)) > before
    assert not remove_from_group(user=alice.user, group=group)
    assert alice.client.post("/make").status_code == 403
    if settings.DJANGO_PERMISSIONS:
        alice.joins(group)
        assert alice.client.post("/add-group").status_code == 403
        group.permissions.add(Permission.objects.get(codename="add_group"))
        assert alice.client.post("/add-group").status_code == 201
        assert may(alice, "auth.add_group")
        group.permissions.clear()
        assert alice.client.post("/add-group").status_code == 403
    alice.joins(group)
    group.delete()
    assert alice.client.post("/make").status_code == 403
    return None


def _no_groups(alice: Person) -> str:
    """Show that the grants of a group reach no user, also not by a relation to another model with the same key."""
    group = Group.objects.create(pk=1, name="makers")
    give(principals.group(group), MAKE)
    relation = getattr(alice.user, "groups", None)
    if relation is not None:
        relation.add(relation.model.objects.create(pk=1, name="no group"))
    assert alice.client.post("/make").status_code == 403
    group.permissions.add(Permission.objects.get(codename="add_group"))
    assert alice.client.post("/add-group").status_code == 403
    return ABSENT

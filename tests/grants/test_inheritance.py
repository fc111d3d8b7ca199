"""Grants and denials on objects of multi-table inheritance: one row is an object of several models."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied as DjangosPermissionDenied
from django.db import models
from django.test.utils import isolate_apps

from securecore import caller, clock, grants, tokens
from securecore.errors import PermissionDenied
from securecore.grants import principals
from securecore.http.backends import CertificateBackend
from tests.grants.conftest import MAKE

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def of() -> Iterator[Callable[..., Any]]:
    """`of("savings", 5)` is row 5 as an object of this model: an account, a child model, or a grandchild."""
    with isolate_apps("django.contrib.auth"):

        class Account(models.Model):
            class Meta:
                app_label = "auth"

        class Savings(Account):
            class Meta:
                app_label = "auth"

        class Hidden(Account):
            link = models.OneToOneField(Account, models.CASCADE, parent_link=True, primary_key=True, related_name="+")

            class Meta:
                app_label = "auth"

        class Fixed(Savings):
            class Meta:
                app_label = "auth"

        class Proxy(Savings):
            class Meta:
                app_label = "auth"
                proxy = True

        made: dict[str, Any] = {
            "account": lambda pk: Account(pk=pk),
            "savings": lambda pk: Savings(id=pk, account_ptr_id=pk),
            "hidden": lambda pk: Hidden(id=pk, link_id=pk),
            "fixed": lambda pk: Fixed(id=pk, account_ptr_id=pk, savings_ptr_id=pk),
            "proxy": lambda pk: Proxy(id=pk, account_ptr_id=pk),
        }
        yield lambda name, pk=5: made[name](pk)


def may(principal: str, obj: Any) -> bool:
    try:
        with grants.authorize(principal, MAKE, obj, clock=clock.now):
            return True
    except PermissionDenied:
        return False


RELATED = [
    ("account", "savings"),
    ("account", "fixed"),
    ("account", "hidden"),
    ("account", "proxy"),
    ("savings", "fixed"),
    ("savings", "proxy"),
]


@pytest.mark.parametrize(("parent", "child"), RELATED)
class TestOneRow:
    def test_one_row_that_is_denied_by_its_parent_is_denied(
        self, alice: str, give: Any, of: Any, parent: str, child: str
    ) -> None:
        give(alice)
        give(alice, obj=of(parent), denies=True)
        assert not may(alice, of(child))
        assert may(alice, of(child, 6))

    def test_one_row_that_is_denied_is_denied_as_its_parent(
        self, alice: str, give: Any, of: Any, parent: str, child: str
    ) -> None:
        """Otherwise a caller could avoid the denial by a view that fetches the row as the parent model."""
        give(alice)
        give(alice, obj=of(child), denies=True)
        assert not may(alice, of(parent))
        assert may(alice, of(parent, 6))

    def test_one_row_that_is_granted_as_its_parent_is_granted(
        self, alice: str, give: Any, of: Any, parent: str, child: str
    ) -> None:
        give(alice, obj=of(parent))
        assert may(alice, of(child))
        assert not may(alice, of(child, 6))


def test_a_grant_on_a_child_says_nothing_of_its_parent(alice: str, give: Any, of: Any) -> None:
    give(alice, obj=of("savings"))
    assert not may(alice, of("account"))


def test_has_perm_reads_the_parent_too(user: User, alice: str, give: Any, of: Any) -> None:
    give(alice)
    give(alice, obj=of("account"), denies=True)
    _, token = tokens.issue(subject=str(user.pk), client_id="c", binding="x5t#S256:t", now=clock.now())
    asked = caller.user_of_token(token, now=clock.now())
    with pytest.raises(DjangosPermissionDenied):
        CertificateBackend().has_perm(asked, MAKE, of("savings"))


def test_what_is_no_model_of_ours_has_no_relatives(user: User) -> None:
    assert principals.target_of(user) == principals.Target(("auth.user", str(user.pk)))
    assert principals.target_of(None) == principals.Target()

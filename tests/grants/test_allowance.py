"""Consumable grants: a number of uses, or an amount, in each period."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import pytest
from django.contrib.auth.models import Group, User

from securecore.errors import AllowanceExhausted, AmountRefused
from securecore.grants import Grant, authorize, principal_of, principals
from securecore.grants.models import GrantUse
from tests.grants.conftest import MAKE

pytestmark = pytest.mark.django_db(transaction=True)

Give = Callable[..., bool]
DAY = 86_400
NOON = dt.datetime(2026, 6, 1, 12, tzinfo=dt.UTC)


def uses(principal: str, *amounts: int | None, now: dt.datetime = NOON) -> list[bool]:
    """Return whether each of these checks was allowed, in order."""
    answers = []
    for amount in amounts:
        try:
            with authorize(principal, MAKE, consume=amount, clock=lambda: now):
                answers.append(True)
        except AllowanceExhausted:
            answers.append(False)
    return answers


class TestUses:
    def test_uses_are_counted(self, alice: str, give: Give) -> None:
        give(alice, uses_limit=2)
        assert uses(alice, None, None, None) == [True, True, False]

    def test_uses_begin_again_with_the_next_period(self, alice: str, give: Give) -> None:
        give(alice, uses_limit=1, period=DAY)
        midnight = NOON + dt.timedelta(hours=12)
        assert uses(alice, None, None) == [True, False]
        assert uses(alice, None, now=midnight - dt.timedelta(microseconds=1)) == [False]
        assert uses(alice, None, None, now=midnight) == [True, False]

    def test_uses_of_what_was_rolled_back_are_not(self, alice: str, give: Give) -> None:
        give(alice, uses_limit=1)
        with pytest.raises(ZeroDivisionError), authorize(alice, MAKE, clock=lambda: NOON):
            raise ZeroDivisionError
        assert uses(alice, None, None) == [True, False]

    def test_uses_of_a_group_are_each_member_s_own(self, alice: str, group: Group, give: Give) -> None:
        bob = User.objects.create(username="bob of the grants")
        group.user_set.add(bob)
        give(principals.group(group), uses_limit=1)
        assert uses(alice, None, None) == [True, False]
        assert uses(principal_of(bob), None) == [True]

    def test_uses_are_not_counted_while_a_plain_grant_allows(self, alice: str, group: Group, give: Give) -> None:
        give(alice, uses_limit=1)
        give(principals.group(group))
        assert uses(alice, None, None, None) == [True, True, True]
        assert not GrantUse.objects.exists()

    def test_uses_of_one_grant_follow_those_of_another(self, alice: str, group: Group, give: Give) -> None:
        give(alice, uses_limit=1)
        give(principals.group(group), uses_limit=2)
        assert uses(alice, None, None, None, None) == [True, True, True, False]

    def test_uses_begin_again_with_a_new_grant(self, alice: str, give: Give) -> None:
        give(alice, uses_limit=1)
        assert uses(alice, None, None) == [True, False]
        Grant.objects.filter(principal=alice).update(revoked_at=NOON)
        give(alice, uses_limit=1)
        assert uses(alice, None) == [True]

    def test_uses_are_forgotten_with_their_grant(self, alice: str, give: Give) -> None:
        give(alice, uses_limit=1)
        uses(alice, None)
        assert GrantUse.objects.count() == 1
        Grant.objects.all()._raw_delete(using="default")
        assert not GrantUse.objects.exists()


class TestAmount:
    def test_amount_is_counted(self, alice: str, give: Give) -> None:
        give(alice, amount_limit=100)
        assert uses(alice, 60, 41, 40, 1) == [True, False, True, False]

    def test_amount_at_once_is_never_more_than_there_is(self, alice: str, give: Give) -> None:
        give(alice, amount_limit=100)
        assert uses(alice, 101, 100) == [False, True]

    def test_amount_that_nobody_named_is_refused(self, alice: str, give: Give) -> None:
        give(alice, amount_limit=100)
        assert uses(alice, None) == [False]

    def test_amount_and_uses_are_counted_together(self, alice: str, give: Give) -> None:
        give(alice, amount_limit=100, uses_limit=2)
        assert uses(alice, 90, 11, 1, 1) == [True, False, True, False]

    def test_amount_cannot_be_given_back_by_a_negative_one(self, alice: str, give: Give) -> None:
        give(alice, amount_limit=100)
        with pytest.raises(AmountRefused):
            uses(alice, -50)


def test_a_use_says_what_it_is(alice: str, give: Give) -> None:
    give(alice, uses_limit=2)
    uses(alice, None)
    assert str(GrantUse.objects.get()) == f"1 uses of grant {Grant.objects.get().pk} by {alice}"

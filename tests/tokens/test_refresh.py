from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError

from securecore.purge import purge
from securecore.tokens import RefreshFamily, RefreshToken, refresh
from securecore.tokens.refresh import NotRedeemed, Redeemed

pytestmark = pytest.mark.django_db

ALICES = "x5t#S256:alice"
SECOND = dt.timedelta(seconds=1)


@pytest.fixture
def begin(now: dt.datetime) -> Any:
    """`begin()` starts a family of Alice's and returns its first token."""

    def begin(*, rotates: bool = True, binding: str = ALICES) -> str:
        user, _ = User.objects.get_or_create(username="alice")
        how: dict[str, Any] = {"binding": binding, "certificate": "alice", "rotates": rotates, "now": now}
        return refresh.start(user_id=user.pk, client_id="alice", scope="", **how)[1]

    return begin


def redeem(token: str, now: dt.datetime, *, binding: str = ALICES, client_id: str = "alice") -> Redeemed | NotRedeemed:
    how: dict[str, Any] = {"binding": binding, "certificate": "alice", "now": now}
    return refresh.redeem(presented_token=token, client_id=client_id, **how)


def succeed(token: str, now: dt.datetime, **how: Any) -> str:
    outcome = redeem(token, now, **how)
    assert isinstance(outcome, Redeemed)
    assert outcome.token is not None
    return outcome.token


def reason(outcome: Redeemed | NotRedeemed) -> str:
    assert isinstance(outcome, NotRedeemed)
    return outcome.reason


def live_tokens(now: dt.datetime) -> int:
    tokens = RefreshToken.objects.filter(used_at=None, expires_at__gt=now)
    return tokens.filter(family__revoked_at=None, family__expires_at__gt=now).count()


class TestStart:
    def test_start_stores_only_a_digest(self, begin: Any) -> None:
        token = begin()
        assert len(token) == 43
        assert token not in str(list(RefreshToken.objects.values())) + str(list(RefreshFamily.objects.values()))

    def test_start_gives_every_family_its_own_token(self, begin: Any) -> None:
        assert begin() != begin()


class TestRedeem:
    def test_redeem_replaces_the_token(self, begin: Any, now: Any) -> None:
        first = begin()
        second = succeed(first, now)
        third = succeed(second, now)
        assert len({first, second, third}) == 3
        assert live_tokens(now) == 1

    @pytest.mark.parametrize("junk", ["", "x", "ü", "\x00", "\ud800", "a" * 10_000])
    def test_redeem_knows_no_other_token(self, begin: Any, now: Any, junk: str) -> None:
        begin()
        assert reason(redeem(junk, now)) == "unknown"

    def test_redeem_refuses_another_clients_token(self, begin: Any, now: Any) -> None:
        token = begin()
        assert reason(redeem(token, now, client_id="bob")) == "another client's"
        succeed(token, now)

    def test_redeem_refuses_another_binding_and_lets_the_owner_go_on(self, begin: Any, now: Any) -> None:
        token = begin()
        assert reason(redeem(token, now, binding="x5t#S256:bob")) == "another binding"
        assert reason(redeem(token, now, binding="")) == "another binding"
        succeed(token, now)


class TestLifetime:
    def test_lifetime_ends_when_it_is_not_used(self, begin: Any, now: Any) -> None:
        token = begin()
        assert reason(redeem(token, now + dt.timedelta(days=1))) == "expired"

    def test_lifetime_follows_the_setting(self, begin: Any, now: Any, configure: Any) -> None:
        configure(REFRESH_IDLE_TIMEOUT=60)
        succeed(begin(), now + 59 * SECOND)
        assert reason(redeem(begin(), now + 60 * SECOND)) == "expired"

    def test_lifetime_is_extended_by_use(self, begin: Any, now: Any) -> None:
        almost = dt.timedelta(days=1) - SECOND
        token = succeed(begin(), now + almost)
        succeed(token, now + 2 * almost)

    @pytest.mark.parametrize("rotates", [True, False])
    def test_lifetime_ends_absolutely(self, begin: Any, now: Any, rotates: bool) -> None:
        token = begin(rotates=rotates)
        for day in range(1, 28):
            outcome = redeem(token, now + day * dt.timedelta(hours=12))
            assert isinstance(outcome, Redeemed)
            token = outcome.token or token
        assert reason(redeem(token, now + dt.timedelta(days=14))) == "expired"

    def test_lifetime_is_never_beyond_the_familys(self, begin: Any, now: Any) -> None:
        token = begin()
        RefreshFamily.objects.update(expires_at=now + 5 * SECOND)
        succeed(token, now)
        assert RefreshToken.objects.get(used_at=None).expires_at == now + 5 * SECOND


class TestHonestRetry:
    """See Note [Refresh retry]."""

    def test_honest_retry_of_the_predecessor_gets_a_successor_again(self, begin: Any, now: Any) -> None:
        first = begin()
        lost = succeed(first, now)
        second = succeed(first, now + 30 * SECOND)
        assert lost != second
        assert live_tokens(now) == 1
        succeed(second, now + 31 * SECOND)

    @pytest.mark.parametrize("seconds", [0, 30, 3600])
    @pytest.mark.parametrize("retries", [1, 3])
    @pytest.mark.parametrize("who", [{}, {"binding": "x5t#S256:thief"}, {"client_id": "bob"}], ids=str)
    def test_honest_retry_voids_the_lost_successor_whose_use_ends_the_family(
        self, begin: Any, now: Any, seconds: int, retries: int, who: dict[str, str]
    ) -> None:
        """Each voided token, the first as well as the last: its use proves that two parties hold
        tokens of the family.
        """
        first = begin()
        held = [succeed(first, now) for _ in range(retries + 1)]
        assert reason(redeem(held[0], now + seconds * SECOND, **who)) == "reused"
        assert reason(redeem(held[-1], now + seconds * SECOND)) == "revoked"
        assert live_tokens(now) == 0

    def test_honest_retry_leaves_voided_successors_for_as_long_as_their_family_lives(
        self, begin: Any, now: Any
    ) -> None:
        """Later than an unused token would expire: a thief keeps the family alive meanwhile."""
        first = begin()
        voided, newest = succeed(first, now), succeed(first, now)
        for day in range(1, 5):
            newest = succeed(newest, now + day * dt.timedelta(hours=20))
        purge(now=now + dt.timedelta(hours=80))
        assert reason(redeem(voided, now + dt.timedelta(hours=80))) == "reused"

    def test_honest_retry_may_be_repeated_but_its_window_does_not_slide(self, begin: Any, now: Any) -> None:
        first = begin()
        for seconds in (0, 10, 20, 30):
            succeed(first, now + seconds * SECOND)
        assert reason(redeem(first, now + 31 * SECOND)) == "reused"

    def test_honest_retry_ends_with_the_first_use_of_the_successor(self, begin: Any, now: Any) -> None:
        first = begin()
        second = succeed(first, now)
        third = succeed(second, now)
        assert reason(redeem(first, now)) == "reused"
        assert reason(redeem(third, now)) == "revoked"
        assert live_tokens(now) == 0

    def test_honest_retry_is_for_the_immediate_predecessor_only(self, begin: Any, now: Any) -> None:
        first = begin()
        second = succeed(first, now)
        succeed(second, now)
        assert reason(redeem(first, now + SECOND)) == "reused"

    def test_honest_retry_needs_the_same_binding(self, begin: Any, now: Any) -> None:
        first = begin()
        second = succeed(first, now)
        outcome = redeem(first, now + SECOND, binding="x5t#S256:thief")
        assert reason(outcome) == "reused"
        assert reason(redeem(second, now + SECOND)) == "revoked"

    def test_honest_retry_by_another_client_shows_that_it_leaked(self, begin: Any, now: Any) -> None:
        first = begin()
        second = succeed(first, now)
        assert reason(redeem(first, now + SECOND, client_id="bob")) == "reused"
        assert reason(redeem(second, now + SECOND)) == "revoked"


class TestStaticPolicy:
    def test_static_policy_keeps_the_token(self, begin: Any, now: Any) -> None:
        token = begin(rotates=False)
        for _ in range(3):
            outcome = redeem(token, now)
            assert isinstance(outcome, Redeemed)
            assert outcome.token is None
        assert live_tokens(now) == 1

    def test_static_policy_is_bound_all_the_same(self, begin: Any, now: Any) -> None:
        token = begin(rotates=False)
        assert reason(redeem(token, now, binding="x5t#S256:thief")) == "another binding"


class TestRevokeFamily:
    @pytest.mark.parametrize("rotates", [True, False])
    def test_revoke_family_ends_every_token_of_it(self, begin: Any, now: Any, rotates: bool) -> None:
        token, other = begin(rotates=rotates), begin()
        family = refresh.family_of(token)
        assert family is not None
        assert refresh.revoke_family(family.pk, now=now)
        assert not refresh.revoke_family(family.pk, now=now)
        assert reason(redeem(token, now)) == "revoked"
        succeed(other, now)


def test_the_database_allows_one_successor(begin: Any, now: Any) -> None:
    begin()
    first = RefreshToken.objects.get()
    child = {"family": first.family, "parent": first.pk, "expires_at": now}
    RefreshToken.objects.create(id="0" * 32, **child)
    with pytest.raises(IntegrityError):
        RefreshToken.objects.create(id="1" * 32, **child)

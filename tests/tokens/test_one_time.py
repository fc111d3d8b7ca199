"""One-time tokens: for one purpose, for one use."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.db import transaction

from securecore.errors import Misuse
from securecore.tokens import OneTimeToken, one_time

pytestmark = pytest.mark.django_db

SECOND = dt.timedelta(seconds=1)
CONFIRM = "confirm an address"


def issue(now: dt.datetime, **changed: Any) -> str:
    return one_time.issue(**{"purpose": CONFIRM, "subject": "alice", "lifetime": 60, "now": now, **changed})


def consume(token: str, now: dt.datetime, purpose: str = CONFIRM) -> str | None:
    return one_time.consume(token, purpose=purpose, now=now)


class TestConsume:
    def test_consume_gives_the_subject_once(self, now: dt.datetime) -> None:
        token = issue(now)
        assert [consume(token, now) for _ in range(3)] == ["alice", None, None]

    @pytest.mark.parametrize(
        "purpose", ["", "confirm", "confirm an address ", "Confirm an address", "reset a password"]
    )
    def test_consume_is_for_one_purpose(self, now: dt.datetime, purpose: str) -> None:
        token = issue(now)
        assert consume(token, now, purpose) is None
        assert consume(token, now) == "alice"

    def test_consume_knows_where_purpose_ends_and_secret_begins(self, now: dt.datetime) -> None:
        token = issue(now, purpose="a")
        assert consume("b" + token, now, "a") is None
        assert consume(token[1:], now, "a" + token[0]) is None

    @pytest.mark.parametrize(("seconds", "subject"), [(0, "alice"), (59, "alice"), (60, None), (3_600, None)])
    def test_consume_is_for_its_lifetime(self, now: dt.datetime, seconds: int, subject: str | None) -> None:
        assert consume(issue(now), now + seconds * SECOND) == subject

    def test_consume_of_an_expired_token_uses_nothing_up(self, now: dt.datetime) -> None:
        token = issue(now)
        assert consume(token, now + 60 * SECOND) is None
        assert OneTimeToken.objects.exists()

    @pytest.mark.parametrize("token", ["", "x", "\0", "\ud800", "ü", "x" * 100_000, "' OR 1=1 --"])
    def test_consume_of_nonsense_is_nothing(self, now: dt.datetime, token: str) -> None:
        issue(now)
        assert consume(token, now) is None

    def test_consume_does_not_mix_up_two_tokens(self, now: dt.datetime) -> None:
        alices, bobs = issue(now), issue(now, subject="bob")
        assert consume(bobs, now) == "bob"
        assert consume(alices, now) == "alice"

    @pytest.mark.django_db(transaction=True)
    def test_consume_in_a_transaction_is_a_mistake(self, now: dt.datetime) -> None:
        """A rollback would make the token good again."""
        token = issue(now)
        with pytest.raises(Misuse), transaction.atomic():
            consume(token, now)
        assert consume(token, now) == "alice"


class TestIssue:
    def test_issue_stores_only_a_digest(self, now: dt.datetime) -> None:
        token = issue(now)
        assert len(token) == 43
        assert token not in str(OneTimeToken.objects.values().get())

    def test_issue_gives_another_each_time(self, now: dt.datetime) -> None:
        assert issue(now) != issue(now)

    @pytest.mark.django_db(transaction=True)
    def test_issue_belongs_to_the_surrounding_transaction(self, now: dt.datetime) -> None:
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            token = issue(now)
            raise ZeroDivisionError
        assert consume(token, now) is None

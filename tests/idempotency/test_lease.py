"""Effects outside the database: a committed claim, a lease, and a counter that fences off an attempt that lost the
lease.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.http import HttpResponse, JsonResponse
from django.test import RequestFactory

from securecore import clock
from securecore.errors import IdempotencyInProgress, IdempotencyKeyReused, Misuse
from securecore.http.decorators import idempotent
from securecore.idempotency import Claim, IdempotencyRecord, claim_lease, store_leased
from securecore.idempotency.response import StoredResponse
from securecore.testing import identified
from tests.events.recorder import recorded
from tests.support.views import OutOfPaper

pytestmark = pytest.mark.django_db(transaction=True)

LEASE, SKEW = 30, 10
LATER = dt.timedelta(seconds=LEASE + SKEW + 1)


class FarSide:
    """A service outside every transaction, which may or may not honour keys."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def pay(self, key: str) -> int:
        self.calls.append(key)
        return len(self.calls)

    @property
    def effects(self) -> int:
        return len(set(self.calls))


@pytest.fixture
def bank() -> FarSide:
    return FarSide()


@pytest.fixture
def ask(users: dict[str, User], rf: RequestFactory) -> Any:
    def ask(view: Any, body: str = "{}") -> Any:
        request: Any = rf.post("/", body, content_type="application/json", headers={"Idempotency-Key": "k"})
        return view(identified(request, user=users["alice"]))

    return ask


@pytest.fixture
def at(monkeypatch: Any) -> Any:
    """`at(LATER)` moves the clock of the edge forward by that time."""
    started = clock.now()
    return lambda later: monkeypatch.setattr("securecore.clock.now", lambda: started + later)


class Crash(BaseException):
    """The process ends: no later code runs, no exception handler either."""


def paying(bank: FarSide, *outcomes: Any) -> Any:
    """A view that pays, then takes the next of ``outcomes``: an exception to raise, a response, or 201 at the end."""
    remaining = list(outcomes)

    @idempotent(lease=LEASE)
    def view(request: Any) -> HttpResponse:
        paid = bank.pay(request.idempotency.key_for("bank"))
        outcome = remaining.pop(0) if remaining else None
        if isinstance(outcome, BaseException):
            raise outcome
        if isinstance(outcome, HttpResponse):
            return outcome
        return JsonResponse({"paid": paid, "attempt": request.idempotency.attempt}, status=201)

    return view


class TestLease:
    def test_lease_is_committed_before_the_effect(self, ask: Any) -> None:
        @idempotent(lease=LEASE)
        def view(request: Any) -> HttpResponse:
            assert not connection.in_atomic_block
            row = IdempotencyRecord.objects.get()
            assert (row.status, row.attempt) == (None, 1)
            assert row.leased_until is not None
            return HttpResponse()

        assert ask(view).status_code == 200

    def test_lease_has_one_effect_and_equal_answers(self, ask: Any, bank: FarSide) -> None:
        view = paying(bank)
        first, second = ask(view), ask(view)
        assert first.content == second.content
        assert second["Idempotency-Replayed"] == "true"
        assert len(bank.calls) == 1
        assert IdempotencyRecord.objects.get().leased_until is None

    def test_lease_of_a_process_that_died_keeps_others_out(self, ask: Any, at: Any, bank: FarSide) -> None:
        view = paying(bank, Crash())
        with pytest.raises(Crash):
            ask(view)
        for elapsed in (0, LEASE + SKEW - 1):
            at(dt.timedelta(seconds=elapsed))
            with pytest.raises(IdempotencyInProgress):
                ask(view)
        assert len(bank.calls) == 1

    def test_lease_that_ran_out_is_taken_over_with_the_same_key_for_the_far_side(
        self, ask: Any, at: Any, bank: FarSide
    ) -> None:
        """At the other service at least once; once, since both requests have one key."""
        view = paying(bank, Crash())
        with pytest.raises(Crash):
            ask(view)
        at(LATER)
        with recorded() as events:
            answer = ask(view)
        assert answer.status_code == 201
        assert b'"attempt": 2' in answer.content
        assert (len(bank.calls), bank.effects) == (2, 1)
        assert [event.name for event in events] == ["securecore.idempotency.lease-taken-over"]

    def test_lease_stands_for_one_request(self, ask: Any, at: Any, bank: FarSide) -> None:
        view = paying(bank, Crash())
        with pytest.raises(Crash):
            ask(view)
        at(LATER)
        with pytest.raises(IdempotencyKeyReused):
            ask(view, '{"another": 1}')

    @pytest.mark.parametrize("outcome", [ZeroDivisionError(), HttpResponse(status=503)])
    def test_lease_is_given_back_when_there_is_no_final_answer(self, ask: Any, bank: FarSide, outcome: Any) -> None:
        view = paying(bank, outcome)
        if isinstance(outcome, Exception):
            with pytest.raises(ZeroDivisionError):
                ask(view)
        else:
            assert ask(view).status_code == 503
        assert ask(view).status_code == 201
        assert bank.effects == 1

    def test_lease_ends_with_a_final_refusal(self, ask: Any, bank: FarSide) -> None:
        view = paying(bank, OutOfPaper())
        assert [ask(view).status_code for _ in range(2)] == [422, 422]
        assert len(bank.calls) == 1

    def test_lease_inside_a_transaction_is_misuse(self, ask: Any, bank: FarSide) -> None:
        with pytest.raises(Misuse, match="commit by itself"), transaction.atomic():
            ask(paying(bank))

    def test_lease_needs_no_care_under_atomic_requests(self) -> None:
        view: Any = idempotent(lease=LEASE)(lambda request: None)
        assert "default" in view._non_atomic_requests


class TestFence:
    def test_fence_keeps_out_the_answer_of_whoever_lost_the_lease(self, ask: Any, at: Any, bank: FarSide) -> None:
        """The first attempt is only slow. Its response must not replace the second's, so it gets
        the second's itself.
        """
        fast = paying(bank)
        seconds_answer: list[Any] = []

        @idempotent(lease=LEASE)
        def slow(request: Any) -> HttpResponse:
            at(LATER)
            seconds_answer.append(ask(fast))
            return JsonResponse({"paid": "by the first"})

        firsts_answer = ask(slow)
        assert firsts_answer.content == seconds_answer[0].content == ask(fast).content
        assert firsts_answer["Idempotency-Replayed"] == "true"

    def test_fence_asks_whoever_lost_it_to_come_again_while_the_second_runs(
        self, ask: Any, at: Any, bank: FarSide
    ) -> None:
        crashing = paying(bank, Crash())

        @idempotent(lease=LEASE)
        def slow(request: Any) -> HttpResponse:
            at(LATER)
            with pytest.raises(Crash):
                ask(crashing)
            return JsonResponse({"paid": "by the first"})

        with pytest.raises(IdempotencyInProgress):
            ask(slow)
        row = IdempotencyRecord.objects.get()
        assert (row.status, row.attempt) == (None, 2)
        assert row.leased_until is not None
        assert row.leased_until > clock.now()  # the first attempt did not end the second's lease

    def test_fence_holds_beyond_the_retention(self, now: dt.datetime) -> None:
        """A claim from before the record expired does not match the claim after it."""
        names: dict[str, Any] = {"record": IdempotencyRecord._meta.pk.to_python("0" * 32), "fingerprint": b"f"}
        old = claim_lease(**names, now=now, lease=LEASE, retention=60)
        new = claim_lease(**names, now=now + dt.timedelta(seconds=61), lease=LEASE, retention=60)
        assert isinstance(old, Claim)
        assert isinstance(new, Claim)
        assert not store_leased(old, StoredResponse(200, b"old"))
        assert store_leased(new, StoredResponse(200, b"new"))

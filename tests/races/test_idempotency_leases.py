"""Sixteen processes compete for one lease."""

from __future__ import annotations

import datetime as dt
import uuid
from collections import Counter
from multiprocessing import Semaphore
from typing import Any

import pytest
from django.db import transaction

from securecore import clock, idempotency
from securecore.errors import IdempotencyInProgress
from securecore.idempotency import Claim

pytestmark = pytest.mark.django_db(transaction=True)

THREADS, ROUNDS = 16, 5


def claimed(record: uuid.UUID, now: dt.datetime) -> int | None:
    """Return the attempt that this call claimed, or None if another process holds the claim."""
    try:
        claim = idempotency.claim_lease(record=record, fingerprint=b"f", now=now, lease=30)
    except IdempotencyInProgress:
        return None
    assert isinstance(claim, Claim)
    return claim.attempt


def test_a_lease_has_one_holder(run_together: Any) -> None:
    for _ in range(ROUNDS):
        record, now = uuid.uuid4(), clock.now()
        attempts = run_together(THREADS, lambda _, r=record, n=now: claimed(r, n))
        assert Counter(attempts) == {1: 1, None: THREADS - 1}


def test_a_lease_that_ran_out_is_taken_over_by_one(run_together: Any) -> None:
    for _ in range(ROUNDS):
        record, now = uuid.uuid4(), clock.now()
        assert claimed(record, now) == 1
        later = now + dt.timedelta(minutes=1)
        attempts = run_together(THREADS, lambda _, r=record, n=later: claimed(r, n))
        assert Counter(attempts) == {2: 1, None: THREADS - 1}


def test_a_twin_that_may_not_wait_does_not(run_together: Any) -> None:
    """The first request holds the claim until all others have been refused."""
    record, now = uuid.uuid4(), clock.now()
    refused = Semaphore(0)

    def once(_: int) -> str:
        try:
            with transaction.atomic():
                claim = idempotency.claim(record=record, fingerprint=b"f", now=now, wait=False)
                told = [refused.acquire(timeout=30) for _ in range(THREADS - 1)]
                return f"{type(claim).__name__}, the others told" if all(told) else "they wait"
        except IdempotencyInProgress:
            refused.release()
            return "refused"

    answers = run_together(THREADS, once)
    assert Counter(answers) == {"Claim, the others told": 1, "refused": THREADS - 1}

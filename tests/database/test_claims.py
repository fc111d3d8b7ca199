"""Claims by PostgreSQL's functions and by plain statements: one winner, a limited wait, an expired row taken over."""

from __future__ import annotations

import datetime as dt
import threading
import uuid

import pytest
from django.db import OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext

from securecore import clock, server_functions
from securecore.database import ClaimStatement, callable_functions
from securecore.idempotency import IdempotencyRecord
from securecore.idempotency.record import CLAIM, LEASED_CLAIM
from securecore.replay import store
from securecore.tokens import revoked

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has one writer at a time"),
]
CLAIMS = {"nonce": store.CLAIM, "revoked token": revoked.CLAIM, "key": CLAIM, "key with a lease": LEASED_CLAIM}


@pytest.fixture(params=["function", "plain statement"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The way of the claim: by the function, or without functions in the database."""
    if request.param != "function":
        monkeypatch.setattr(callable_functions, "_VISIBLE", callable_functions.Statement("SELECT NULL WHERE false"))
        callable_functions.forget_callable(connection)
    else:
        callable_functions.look(connection)
    return str(request.param)


def take(claim: ClaimStatement, key: uuid.UUID, *, wait: float | None = None, seconds: float = 60) -> bool:
    now = clock.now()
    end = now + dt.timedelta(seconds=seconds)
    every = {"id": key, "expires_at": end, "fingerprint": b'\\x\x00"', "created_at": now, "leased_until": end}
    return claim.take(now=now, wait=wait, **{name: every[name] for name in claim.columns})


@pytest.mark.parametrize("claim", CLAIMS.values(), ids=CLAIMS)
def test_function_is_installed(claim: ClaimStatement) -> None:
    assert claim.function.name in {each.name for each in server_functions.every_function()}
    callable_functions.look(connection)
    with CaptureQueriesContext(connection) as captured:
        assert take(claim, uuid.uuid4(), wait=1 if claim.is_bounded else None)
    assert claim.function.name in captured.captured_queries[-1]["sql"]


@pytest.mark.parametrize("claim", CLAIMS.values(), ids=CLAIMS)
def test_first_claim_has_the_row(claim: ClaimStatement, way: str) -> None:
    key, wait = uuid.uuid4(), 1 if claim.is_bounded else None
    assert [take(claim, key, wait=wait) for _ in range(3)] == [True, False, False]


def test_expired_row_is_taken_over_as_new(way: str) -> None:
    key = uuid.uuid4()
    assert take(LEASED_CLAIM, key, wait=1, seconds=-1)
    IdempotencyRecord.objects.update(status=201, body=b"old", attempt=3)
    assert take(CLAIM, key, wait=1)
    row = IdempotencyRecord.objects.get()
    assert (row.status, bytes(row.body), row.attempt, row.leased_until) == (None, b"", 1, None)
    assert bytes(row.fingerprint) == b'\\x\x00"'


def test_wait_is_limited(way: str) -> None:
    key, claimed, done = uuid.uuid4(), threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            assert take(CLAIM, key, wait=1)
            claimed.set()
            done.wait(30)
        connection.close()

    holder = threading.Thread(target=hold)
    holder.start()
    try:
        assert claimed.wait(30)
        with pytest.raises(OperationalError, match="lock timeout"), transaction.atomic():
            take(CLAIM, key, wait=0.01)
    finally:
        done.set()
        holder.join(30)


def test_limit_holds_for_the_transaction(way: str) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        take(CLAIM, uuid.uuid4(), wait=3)
        cursor.execute("SHOW lock_timeout")
        assert cursor.fetchone() == ("3s",)


@pytest.mark.parametrize("claim", CLAIMS.values(), ids=CLAIMS)
def test_primary_key_is_never_updated(claim: ClaimStatement) -> None:
    """A distributed database spreads the rows by their primary key, and refuses its change."""
    _, _, renewed = claim.function.query.partition("DO UPDATE SET ")
    assert renewed.startswith('"')
    assert '"id" =' not in renewed

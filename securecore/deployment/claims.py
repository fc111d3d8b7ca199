"""Trials of the claims: of several connections that claim one key at once, exactly one has it, and none afterwards.

Each trial commits one row with a random key, as a request does, and deletes it. If the command is killed in between,
the row expires within ``_LIFETIME`` seconds, that of a nonce as that of a request, and the next purge deletes it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID, uuid4

from django.db import IntegrityError

from securecore import clock, database
from securecore.conf import settings
from securecore.database.callable_functions import forget_callable, is_callable, look
from securecore.deployment.concurrent_connections import COUNT, ConcurrentConnections, limited_transaction
from securecore.deployment.trials import Trial, Verdict, broken, kept
from securecore.idempotency import record
from securecore.models import RefreshToken
from securecore.replay import store
from securecore.tokens import one_time, revoked

#: Seconds.
_LIFETIME = 60


@dataclass(frozen=True)
class _Claim:
    """A claim of the key ``record``. ``take`` says whether this call has it, ``clear`` deletes its row."""

    take: Callable[[UUID], bool]
    clear: Callable[[UUID], object]
    #: The statement of the claim, if PostgreSQL has a function for it, which the plain statement replaces if missing.
    statement: database.ClaimStatement | None = None


def claim_trial(claim: _Claim, connections: ConcurrentConnections) -> Verdict:
    connection = database.connection()
    if claim.statement is None or connection.vendor != "postgresql":
        return _verdict({"the statement": _race(claim, connections)})
    results = {}
    try:
        if is_callable(claim.statement.function.name, connection):  # P304 reports a missing one
            results["the function"] = _race(claim, connections)
        forget_callable(connection)
        results["the plain statement"] = _race(claim, connections)
    finally:
        look(connection)
    return _verdict(results)


def _race(claim: _Claim, connections: ConcurrentConnections) -> tuple[int, int]:
    """Return how many connections won the claim at once, and how many won it after the commit of the first."""
    key = uuid4()
    try:
        return sum(connections.at_once(lambda: claim.take(key))), sum(connections.at_once(lambda: claim.take(key)))
    finally:
        claim.clear(key)


def _verdict(results: dict[str, tuple[int, int]]) -> Verdict:
    wrong = {way: wins for way, wins in results.items() if wins != (1, 0)}
    if not wrong:
        return kept(f"one of {COUNT} connections, by {' and by '.join(results)}")
    return broken("; ".join(f"{sum(wins)} of {2 * COUNT} claims won, by {way}" for way, wins in wrong.items()))


def _end(now: dt.datetime) -> dt.datetime:
    return now + dt.timedelta(seconds=_LIFETIME)


def _end_of_nonce(now: dt.datetime) -> dt.datetime:
    """Return the end of a request that was made now: the fence after a failover refuses every other one."""
    return now + dt.timedelta(seconds=store.retention())


def _of(statement: database.ClaimStatement, **values: Callable[[dt.datetime], Any]) -> _Claim:
    rows = statement.model._default_manager.using

    def take(key: UUID) -> bool:
        now = clock.now()
        given = {"id": key, "expires_at": _end(now)} | {name: value(now) for name, value in values.items()}
        with limited_transaction():
            return statement.take(now=now, wait=settings.LOCK_TIMEOUT if statement.is_bounded else None, **given)

    return _Claim(take, lambda key: rows(settings.DATABASE).filter(pk=key).delete(), statement)


def _take_successor(key: UUID) -> bool:
    """Insert a successor of the refresh token ``key``. No family has its id, so it redeems nothing."""
    try:
        with limited_transaction():
            RefreshToken.objects.using(settings.DATABASE).create(
                id=uuid4(), family_id=uuid4(), parent=key, expires_at=_end(clock.now())
            )
    except IntegrityError:
        return False
    return True


def _clear_successor(key: UUID) -> None:
    RefreshToken.objects.using(settings.DATABASE).filter(parent=key).delete()


def one_time_trial(connections: ConcurrentConnections) -> Verdict:
    purpose = "securecore_prove"
    with limited_transaction():  # a pooler that refuses transactions would refuse to delete the row
        token = one_time.issue(purpose=purpose, subject=purpose, lifetime=_LIFETIME, now=clock.now())
    consume = partial(one_time.consume, token, purpose=purpose, now=clock.now())
    try:
        wins = [sum(subject is not None for subject in connections.at_once(consume)) for _ in range(2)]
    finally:
        consume()
    return _verdict({"the statement": (wins[0], wins[1])})


_KEY = {"fingerprint": lambda now: b"securecore_prove", "created_at": lambda now: now}
_NONCE = _of(store.CLAIM, expires_at=_end_of_nonce)
_REVOCATION = _of(revoked.CLAIM)
_IDEMPOTENCY = _of(record.CLAIM, **_KEY)
_LEASED = _of(record.LEASED_CLAIM, **_KEY, leased_until=_end)
_SUCCESSOR = _Claim(_take_successor, _clear_successor)

TRIALS = (
    Trial("P401", "A nonce is accepted once", partial(claim_trial, _NONCE)),
    Trial("P402", "A token is revoked once", partial(claim_trial, _REVOCATION)),
    Trial("P403", "An idempotency key has one effect", partial(claim_trial, _IDEMPOTENCY)),
    Trial("P404", "An idempotency key has one lease", partial(claim_trial, _LEASED)),
    Trial("P405", "A one-time token is used once", one_time_trial),
    Trial("P406", "A refresh token has one successor", partial(claim_trial, _SUCCESSOR)),
)

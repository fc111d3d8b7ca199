"""A waiting revocation wins under both gates: it ends the idle and busy sessions that hold its gate."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db import Error, connection, transaction

from securecore import clock, events, grants
from securecore.errors import Busy, PermissionDenied
from securecore.grants import Grant, authorize
from securecore.grants.gate import eviction
from securecore.revocation import deactivate_user, revoke_all_grants, revoke_grant
from tests.races.gates import EVERY_GATE, connect_with
from tests.races.test_authorization import Held, Thread, wait_until_blocked
from tests.support.views import effects, make_effect

pytestmark = pytest.mark.django_db(transaction=True)

MAKE = "things.make"
#: Seconds until a revocation that still waits raises ``Busy``.
LOCK_TIMEOUT = 2.0


@pytest.fixture(params=EVERY_GATE, autouse=True)
def _gate(request: pytest.FixtureRequest, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    kind, options = request.param
    connect_with(options, monkeypatch)
    settings.SECURECORE = settings.SECURECORE | {"GATE": kind, "LOCK_TIMEOUT": LOCK_TIMEOUT}
    yield
    while Held.everyone:
        Held.everyone.pop().leave()
    while Thread.everyone:
        Thread.everyone.pop().join()
    connection.close()


@pytest.fixture
def user() -> User:
    return User.objects.create(username="alice of the gate")


@pytest.fixture
def alice(user: User) -> str:
    principal = grants.principal_of(user)
    grants.grant(principal=principal, permission=MAKE, now=clock.now())
    return principal


def hold(principal: str, seconds: float = 0) -> None:
    """Enter the gate, make an effect, and keep PostgreSQL busy for this long."""
    grants.decide(principal, MAKE, clock=clock.now).require()
    make_effect()
    if seconds:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(%s)", [seconds])


def ended(thread: Thread | Held) -> bool:
    """Return whether PostgreSQL ended the session of the thread."""
    (thread.leave if isinstance(thread, Held) else thread.join)()
    try:
        (thread.thread if isinstance(thread, Held) else thread).result()
    except Error:
        return True
    return False


def held(principal: str) -> bool:
    return Grant.objects.not_revoked().filter(principal=principal).exists()


@pytest.fixture
def told() -> Iterator[list[Any]]:
    found: list[Any] = []

    def receive(event: Any, **_: Any) -> None:
        found.append(event)

    events.happened.connect(receive, sender=events.GateHolderEnded)
    yield found
    events.happened.disconnect(receive, sender=events.GateHolderEnded)


def test_an_idle_holder_is_ended(alice: str, told: list[Any]) -> None:
    holder = Held(lambda: hold(alice))
    assert revoke_grant(principal=alice, permission=MAKE)
    assert ended(holder)
    assert (effects(), held(alice)) == (0, False)
    assert [event.principals for event in told] == [(alice,)]


def test_a_holder_busy_in_a_long_statement_is_ended(alice: str) -> None:
    def work() -> None:
        with transaction.atomic():
            hold(alice, seconds=30)

    holder = Thread(work)
    _wait_until_sleeping()
    assert revoke_grant(principal=alice, permission=MAKE)
    assert ended(holder)
    assert (effects(), held(alice)) == (0, False)


def test_each_kind_of_revocation_wins(user: User, alice: str) -> None:
    holder = Held(lambda: hold(alice))
    deactivate_user(user)
    assert ended(holder)
    assert (effects(), User.objects.get().is_active) == (0, False)


def test_many_holders_and_those_behind_them(alice: str, settings: Any) -> None:
    """Under the row gate one check holds the gate, the other checks wait for it, and the revocation waits behind all of
    them.
    """
    count = 3 if settings.SECURECORE["GATE"] == "advisory" else 1
    holders = [Held(lambda: hold(alice)) for _ in range(count)]
    waiting = [] if count == 3 else [Thread(lambda: _effect_of(alice)) for _ in range(2)]
    if waiting:
        wait_until_blocked(1, "checks behind the holder", *waiting)
    assert revoke_grant(principal=alice, permission=MAKE)
    assert [ended(holder) for holder in holders] == [True] * count
    outcomes = [thread.result() for thread in waiting]
    assert effects() == outcomes.count("done")


def _effect_of(principal: str) -> str:
    """Make an effect behind the gate; return the outcome.

    On a busy machine a check that waited may hold the gate for long enough to be ended in its turn.
    """
    try:
        with authorize(principal, MAKE, clock=clock.now):
            make_effect()
    except PermissionDenied:
        return "denied"
    except Error:
        return "ended"
    return "done"


SHARED = 4_711


def hold_in_turn(principal: str, seconds: float) -> None:
    """Like ``hold``, one after the other, as twins of one idempotency key and users of one allowance are."""
    with transaction.atomic():
        grants.decide(principal, MAKE, clock=clock.now).require()
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [SHARED])
            make_effect()
            cursor.execute("SELECT pg_sleep(%s)", [seconds])


def test_holders_that_wait_for_each_other_are_ended(alice: str, settings: Any) -> None:
    """One was ended and the next went on: a caller with four slow requests kept its own revocation waiting."""
    threads = [Thread(lambda: hold_in_turn(alice, 30))]
    _wait_until_sleeping()
    threads += [Thread(lambda: hold_in_turn(alice, 30)) for _ in range(3)]
    wait_until_blocked(1 if settings.SECURECORE["GATE"] == "row" else 3, "those behind the first", *threads)
    assert revoke_grant(principal=alice, permission=MAKE)
    for thread in threads:
        with pytest.raises((Error, PermissionDenied)):
            thread.result()
    assert (effects(), held(alice)) == (0, False)


def test_a_holder_of_another_gate_is_not(alice: str) -> None:
    """A holder of this gate waits for it, and is ended itself."""
    bob = grants.principal_of(User.objects.create(username="bob of another gate"))
    grants.grant(principal=bob, permission=MAKE, now=clock.now())

    def hold_shared() -> None:
        hold(bob)
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [SHARED])

    other = Held(hold_shared)
    waiting = Thread(lambda: hold_in_turn(alice, 0))
    wait_until_blocked(1, "alice behind bob", waiting)
    assert revoke_grant(principal=alice, permission=MAKE)
    assert ended(waiting)
    other.let_go()
    assert (effects(), held(alice)) == (1, False)


@pytest.mark.parametrize("revoke", [revoke_all_grants, partial(revoke_grant, permission=MAKE)])
def test_a_member_of_a_group_that_loses_it_is_ended(user: User, revoke: Any) -> None:
    """Under the row gate a change of the group waits for its members' rows after it has closed its own gate."""
    group = Group.objects.create(name="clerks")
    user.groups.add(group)
    principal = grants.principals.group(group)
    grants.grant(principal=principal, permission=MAKE, now=clock.now())
    holder = Held(lambda: hold(grants.principal_of(user)))
    assert revoke(principal=principal)
    assert ended(holder)
    assert not held(principal)


@pytest.mark.parametrize("is_allowed", [False, True], ids=["alone", "by a view behind the gate"])
def test_a_revocation_ends_no_other(alice: str, told: list[Any], is_allowed: bool) -> None:
    def slow_revocation() -> None:
        if is_allowed:
            grants.decide(alice, MAKE, clock=clock.now).require()
        grants.revoke(principal=alice, permission=MAKE, now=clock.now())

    other = Held(slow_revocation)
    with pytest.raises(Busy):
        revoke_grant(principal=alice, permission=MAKE)
    other.let_go()
    assert told == []
    assert not held(alice)


def test_nor_does_a_change_that_gives(alice: str, told: list[Any]) -> None:
    holder = Held(lambda: hold(alice))
    with pytest.raises(Busy):
        grants.grant(principal=alice, permission="things.more", now=clock.now())
    holder.let_go()
    assert (effects(), told) == (1, [])


def test_nor_is_a_session_ended_that_holds_no_gate(alice: str, told: list[Any]) -> None:
    """That session locks the row of the grant itself."""

    def lock_the_grant() -> None:
        Grant.objects.select_for_update().get(principal=alice)

    holder = Held(lock_the_grant)
    with pytest.raises(Busy):
        revoke_grant(principal=alice, permission=MAKE)
    holder.let_go()
    assert told == []


def test_a_role_that_may_end_nobody_gets_busy(alice: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second connection uses a role without rights over the first connection's role."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = 'sc_nobody'")
        if cursor.fetchone() is None:
            cursor.execute("CREATE ROLE sc_nobody")
    like = eviction._connection_like

    def powerless(database: Any) -> Any:
        own = like(database)
        with own.cursor() as cursor:
            cursor.execute("SET ROLE sc_nobody")
        return own

    monkeypatch.setattr(eviction, "_connection_like", powerless)
    holder = Held(lambda: hold(alice))
    with pytest.raises(Busy):
        revoke_grant(principal=alice, permission=MAKE)
    assert not ended(holder)
    assert (effects(), held(alice)) == (1, True)


def test_a_gated_transaction_may_not_be_idle_for_ever(alice: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("securecore.grants.gate.transaction.IDLE_TIMEOUT", 0.2)
    holder = Held(lambda: hold(alice))
    time.sleep(1)
    assert ended(holder)
    assert (effects(), held(alice)) == (0, True)
    with connection.cursor() as cursor:
        cursor.execute("SHOW idle_in_transaction_session_timeout")
        assert cursor.fetchone()[0] == "0", "other transactions may"


def _wait_until_sleeping() -> None:
    deadline = time.monotonic() + 60
    while True:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'")
            if cursor.fetchone()[0]:
                return
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.one_process
def test_a_revocation_that_does_not_wait_opens_no_connection(alice: str, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = threading.Event()
    monkeypatch.setattr(eviction, "_connection_like", lambda database: opened.set())
    assert revoke_grant(principal=alice, permission=MAKE)
    assert not opened.is_set()

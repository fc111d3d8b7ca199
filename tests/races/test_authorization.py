"""Check, revocation and effect in every order that the gate allows, for every kind of revocation, under both gates."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import Barrier, Event
from typing import Any, ClassVar

import pytest
from django.db import connection, transaction

from securecore import clock, grants
from securecore.errors import AllowanceExhausted, Busy, Misuse, PermissionDenied
from securecore.grants import Grant, authorize, gate, late_gate
from securecore.grants.gate import semaphore
from securecore.grants.gate.advisory import AdvisoryGates
from securecore.grants.gate.lock_numbers import lock_sql
from securecore.revocation import revoke_grant
from tests.races.carriers import carry, span
from tests.races.gates import EVERY_GATE, connect_with
from tests.races.revocations import MAKE, OF_MANY, ROUND_US, THROUGH_US, Person, Revocation, effects
from tests.support.views import make_effect

pytestmark = pytest.mark.django_db(transaction=True)

WAIT = 30  # seconds


@pytest.fixture(params=EVERY_GATE, autouse=True)
def _gate(request: pytest.FixtureRequest, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    kind, options = request.param
    connect_with(options, monkeypatch)
    settings.SECURECORE = settings.SECURECORE | {"GATE": kind, "DJANGO_PERMISSIONS": True, "LOCK_TIMEOUT": 60.0}
    yield
    while Held.everyone:  # also the threads of a test that failed
        Held.everyone.pop().leave()
    while Thread.everyone:
        Thread.everyone.pop().join()
    connection.close()


class Thread:
    """Run `work` with its own connection: in a thread, or in a process on a host (carriers.py).

    `result()` raises the exception of the work again.
    """

    everyone: ClassVar[list[Thread]] = []

    def __init__(self, work: Callable[[], Any]) -> None:
        self.everyone.append(self)
        self._carrier = carry(work)

    def is_alive(self) -> bool:
        return self._carrier.is_alive()

    def join(self) -> None:
        self._carrier.join(WAIT)

    def result(self) -> Any:
        self.join()
        assert not self.is_alive(), "still running"
        return self._carrier.result()


class Held:
    """A thread that runs its work and then keeps its transaction open until the test releases the thread.

    ``last`` is one more action behind the release. With ``waits`` the work has to wait for a lock, so the test goes on
    before the work is done; `await_work()` then waits for it.
    """

    everyone: ClassVar[list[Held]] = []

    def __init__(self, work: Callable[[], Any], last: Callable[[], Any] = lambda: None, *, waits: bool = False) -> None:
        self.everyone.append(self)
        self.inside, self._leave = Event(), Event()
        self._work = work
        self._last = last
        self.thread = Thread(self._run)
        if not waits:
            self.await_work()

    def await_work(self) -> None:
        assert self.inside.wait(WAIT) or self.thread.result()

    def _run(self) -> None:
        with transaction.atomic():
            self._work()
            self.inside.set()
            assert self._leave.wait(WAIT)
            self._last()

    def leave(self) -> None:
        self._leave.set()

    def let_go(self) -> None:
        self.leave()
        self.thread.result()


def blocked() -> int:
    with connection.cursor() as cursor:
        # Unlike pg_stat_activity, pg_locks is read anew within a transaction. The subquery leaves out other databases
        # of this server, where other tests run: a session that waits for a row holds a lock on its table here.
        cursor.execute(
            "SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted AND pid IN (SELECT pid FROM pg_locks "
            "WHERE database = (SELECT oid FROM pg_database WHERE datname = current_database()))"
        )
        return int(cursor.fetchone()[0])


def wait_until_blocked(number: int, way: str, *threads: Thread) -> None:
    """Wait until ``number`` sessions wait for a lock. Fail at once if one of ``threads``, which must wait, ends."""
    deadline = time.monotonic() + 60
    while blocked() < number:
        assert time.monotonic() < deadline, f"{way}: nobody waited"
        assert all(thread.is_alive() for thread in threads), f"{way}: a thread that must wait has ended"
        time.sleep(0.005)


def check(person: Person) -> str:
    try:
        with authorize(person.names, MAKE, clock=clock.now):
            make_effect()
    except PermissionDenied:
        return "denied"
    return "done"


def enter(person: Person) -> Callable[[], Any]:
    """Run a check and its effect, and leave the transaction open."""

    def work() -> None:
        grants.decide(person.names, MAKE, clock=clock.now).require()
        make_effect()

    return work


@contextmanager
def locked(row: tuple[str, str]) -> Iterator[None]:
    """Hold a row lock, so that a transaction that writes the row stops right before."""
    table, condition = row
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SELECT 1 FROM {table} WHERE {condition} FOR UPDATE")
        assert cursor.fetchall()
        yield


def given(revocation: Revocation) -> Person:
    person = Person()
    revocation.give(person)
    assert check(person) == "done"
    return person


class TestEveryRevocation:
    def test_every_revocation_waits_for_an_effect_whose_check_passed(self) -> None:
        for way, revocation in {**THROUGH_US, **ROUND_US}.items():
            person, before = given(revocation), effects()
            effect = Held(enter(person))
            revoking = Thread(lambda r=revocation, p=person: r.take(p))  # type: ignore[misc]
            wait_until_blocked(1, way, revoking)
            assert revoking.is_alive(), way
            effect.let_go()
            revoking.result()
            assert effects() == before + 1, way
            assert check(person) == "denied", way

    def test_every_revocation_is_seen_by_a_check_that_came_after_it(self) -> None:
        for way, revocation in ROUND_US.items():
            person = given(revocation)
            before = effects()
            revoking = Held(lambda r=revocation, p=person: r.take(p))  # type: ignore[misc]
            checking = Thread(lambda p=person: check(p))  # type: ignore[misc]
            wait_until_blocked(1, way, checking)
            revoking.let_go()
            assert checking.result() == "denied", way
            assert effects() == before, way

    def test_every_revocation_through_us_closes_the_gate_before_it_changes_anything(self) -> None:
        for way, revocation in THROUGH_US.items():
            if way in OF_MANY and not isinstance(gate.gates(), AdvisoryGates):
                continue  # such a revocation reaches the rows of members later, and waits there
            person = given(revocation)
            before = effects()
            assert revocation.row is not None
            with locked(revocation.row(person)):
                revoking = Thread(lambda r=revocation, p=person: r.take(p))  # type: ignore[misc]
                wait_until_blocked(1, way, revoking)
                checking = Thread(lambda p=person: check(p))  # type: ignore[misc]
                wait_until_blocked(2, way, revoking, checking)
            revoking.result()
            assert checking.result() == "denied", way
            assert effects() == before, way

    def test_every_revocation_that_is_rolled_back_changes_nothing(self) -> None:
        person = given(ROUND_US["a membership by SQL"])
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            ROUND_US["a membership by SQL"].take(person)
            raise ZeroDivisionError
        assert check(person) == "done"


class TestSavepoint:
    def test_savepoint_that_rolls_back_inside_the_block_keeps_the_gate(self) -> None:
        person = given(THROUGH_US["a grant"])

        def work() -> None:
            enter(person)()
            with pytest.raises(ZeroDivisionError), transaction.atomic():
                make_effect()
                raise ZeroDivisionError

        effect = Held(work)
        revoking = Thread(lambda: THROUGH_US["a grant"].take(person))
        wait_until_blocked(1, "savepoint", revoking)
        effect.let_go()
        assert revoking.result()

    def test_savepoint_by_hand_may_not_be_open_when_the_gate_is_taken(self) -> None:
        """A rollback to the savepoint would drop the lock, and the rest of the transaction would commit without it."""
        person = given(THROUGH_US["a grant"])
        for ask in (enter(person), lambda: check(person)):
            with pytest.raises(Misuse, match=r"transaction\.savepoint\(\) is open"), transaction.atomic():
                savepoint = transaction.savepoint()
                ask()
                transaction.savepoint_rollback(savepoint)
                make_effect()
        assert effects() == 1  # the effect of ``given``

    def test_savepoint_that_is_over_is_no_hindrance(self) -> None:
        person, before = given(THROUGH_US["a grant"]), effects()
        with transaction.atomic():
            transaction.savepoint_commit(transaction.savepoint())
            transaction.savepoint_rollback(savepoint := transaction.savepoint())
            transaction.savepoint_commit(savepoint)
            with transaction.atomic():
                make_effect()
            enter(person)()
            later = transaction.savepoint()
            transaction.savepoint_rollback(later)
        assert effects() == before + 2


class TestLateGate:
    def test_late_gate_undoes_an_effect_whose_permission_went_meanwhile(self) -> None:
        for way in ("a grant of a role", "a membership", "a user", "a certificate"):
            person = given(revocation := THROUGH_US[way])
            before = effects()
            with pytest.raises(PermissionDenied), late_gate(person.names, clock=clock.now) as late:
                late.require(MAKE)
                make_effect()
                Thread(lambda r=revocation, p=person: r.take(p)).result()  # type: ignore[misc]
            assert effects() == before, way

    def test_late_gate_makes_a_revocation_wait_for_its_commit_only(self) -> None:
        person = given(THROUGH_US["a grant"])
        before = effects()
        with late_gate(person.names, clock=clock.now) as late:
            late.require(MAKE)
            make_effect()
            late.close()
            revoking = Thread(lambda: revoke_grant(principal=person.own, permission=MAKE))
            wait_until_blocked(1, "late gate", revoking)
        assert revoking.result()
        assert effects() == before + 1


class TestJoining:
    def test_joining_of_a_group_while_the_gate_is_waited_for_is_noticed(self) -> None:
        """The locked names were read before the wait, the permission after it. So the check must lock new names too."""
        person = Person()
        person.group.user_set.remove(person.user)
        person.give(principals_group(person))
        joining = Held(lambda: person.group.user_set.add(person.user))
        effect = Held(enter(person), waits=True)
        wait_until_blocked(1, "join", effect.thread)
        joining.let_go()
        effect.await_work()
        revoking = Thread(lambda: revoke_grant(principal=principals_group(person), permission=MAKE))
        wait_until_blocked(1, "the group it joined", revoking)
        effect.let_go()
        assert revoking.result()
        assert check(person) == "denied"


class TestClock:
    def test_clock_is_read_after_the_wait(self) -> None:
        """Otherwise a grant that expired during the wait would still be live for the waiting check."""
        person = given(THROUGH_US["a grant"])
        mine = Grant.objects.filter(principal=person.own)
        assert check_during(person, lambda: mine.update(valid_until=clock.now() - span())) == "denied"

    def test_clock_has_a_denial_begin_that_came_during_the_wait(self) -> None:
        person = given(THROUGH_US["a grant"])

        def deny() -> None:
            now = clock.now() - span()
            Grant.objects.create(principal=person.own, permission=MAKE, denies=True, granted_at=now, valid_from=now)

        assert check_during(person, deny) == "denied"


def check_during(person: Person, change: Callable[[], Any]) -> str:
    """Return the result of a check that waits for the gate while ``change`` is made."""
    made, entered = Event(), Event()

    def closing() -> None:
        with transaction.atomic():
            gate.close(person.own)
            entered.set()
            assert made.wait(WAIT)
            change()

    changing = Thread(closing)
    assert entered.wait(WAIT)
    checking = Thread(lambda: check(person))
    wait_until_blocked(1, "clock", checking)
    made.set()
    changing.result()
    return str(checking.result())


@pytest.mark.one_process
class TestSemaphore:
    """For each caller, few threads of this process wait at the gate. The other threads wait in the process."""

    MANY = 12

    @pytest.fixture
    def person(self) -> Person:
        return given(THROUGH_US["a grant"])

    @pytest.fixture
    def closed(self, person: Person) -> Held:
        return Held(lambda: gate.close(person.own))

    @pytest.fixture
    def waiting(self, person: Person, closed: Held) -> list[Thread]:
        threads = [Thread(lambda: check(person)) for _ in range(self.MANY)]
        wait_until_blocked(semaphore.AT_ONCE, "the gate", *threads)
        time.sleep(0.2)  # long enough for the other threads to reach the gate as well
        return threads

    def test_semaphore_keeps_the_others_from_the_gate_and_lets_all_through(
        self, closed: Held, waiting: list[Thread]
    ) -> None:
        assert blocked() == semaphore.AT_ONCE
        before = effects()
        closed.let_go()
        assert [thread.result() for thread in waiting] == ["done"] * self.MANY
        assert effects() == before + self.MANY

    def test_semaphore_is_of_one_caller(self, waiting: list[Thread]) -> None:
        assert waiting
        assert check(given(THROUGH_US["a grant"])) == "done"

    def test_semaphore_is_not_waited_at_by_who_may_hold_locks(self, person: Person, waiting: list[Thread]) -> None:
        """PostgreSQL finds a deadlock only among sessions that wait in PostgreSQL."""
        assert waiting

        def work() -> str:
            with transaction.atomic():
                effects()
                return check(person)

        late = Thread(work)
        wait_until_blocked(semaphore.AT_ONCE + 1, "the gate", late, *waiting)
        assert late.is_alive()

    def test_semaphore_is_not_waited_at_for_ever(self, person: Person, waiting: list[Thread], settings: Any) -> None:
        assert waiting
        settings.SECURECORE = settings.SECURECORE | {"LOCK_TIMEOUT": 0.2}
        with pytest.raises(Busy):
            Thread(lambda: check(person)).result()
        assert blocked() == semaphore.AT_ONCE  # the threads before it still wait

    def test_semaphore_are_few(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(semaphore._semaphores, "size", 3)
        for _ in range(5):
            given(THROUGH_US["a grant"])
        assert len(semaphore._semaphores) == 3


class TestDeadlock:
    def test_deadlock_of_two_gates_in_opposite_order_ends_one_and_loses_nothing(self) -> None:
        """Two checks in one transaction with a change between them deadlock. PostgreSQL ends one, and the client gets a
        503.
        """
        one, two = Person(), Person()
        one.give(one.own)
        two.give(two.own)
        before = effects()

        def both(first: Person, second: Person, met: Any) -> str:
            try:
                with authorize(first.names, MAKE, clock=clock.now):
                    met.wait(WAIT)
                    grants.revoke(principal=second.own, permission=MAKE, now=clock.now())
                    make_effect()
            except Busy:
                return "busy"
            return "done"

        met = Barrier(2)
        threads = [Thread(lambda: both(one, two, met)), Thread(lambda: both(two, one, met))]
        assert sorted(thread.result() for thread in threads) == ["busy", "done"]
        assert effects() == before + 1

    def test_deadlock_at_the_gate_is_tried_once_more(self) -> None:
        person = given(THROUGH_US["a grant"])
        first, second = in_lock_order(person)
        backwards = Event()

        def close_backwards() -> None:
            with transaction.atomic():
                with connection.cursor() as cursor:
                    cursor.execute("SET LOCAL deadlock_timeout = '20s'")  # so that PostgreSQL ends the check
                gate.close(second)
                backwards.set()
                wait_until_blocked(1, "the check")
                gate.close(first)

        closing = Thread(close_backwards)
        assert backwards.wait(WAIT)
        checking = Thread(lambda: check(person))
        closing.result()
        assert checking.result() == "done"


class TestAllowance:
    def test_allowance_of_a_hundred_uses_is_used_a_hundred_times(self, run_together: Any) -> None:
        person, before = Person(), effects()
        grants.grant(principal=person.own, permission=MAKE, uses_limit=100, now=clock.now())
        assert sum(run_together(64, lambda _: use_up(person))) == 100
        assert effects() == before + 100

    def test_allowance_of_an_amount_is_used_up_exactly(self, run_together: Any) -> None:
        person, before = Person(), effects()
        grants.grant(principal=person.own, permission=MAKE, amount_limit=500, period=86_400 * 365, now=clock.now())
        assert sum(run_together(16, lambda _: use_up(person, 10))) == 50
        assert effects() == before + 50


def use_up(person: Person, amount: int | None = None) -> int:
    for count in range(1_000):
        try:
            with authorize(person.names, MAKE, consume=amount, clock=clock.now):
                make_effect()
        except AllowanceExhausted:
            return count
    raise AssertionError("there is no end to it")


def in_lock_order(person: Person) -> tuple[str, str]:
    """Return two names of the person in the order in which a check locks them."""
    if isinstance(gate.gates(), AdvisoryGates):
        with connection.cursor() as cursor:
            statement = lock_sql("SELECT unnest(%s::text[]) AS name", "concat")
            cursor.execute(statement, [list(person.names)])
            names = [row[1] for row in cursor.fetchall()]
    else:
        names = sorted(person.names)
    return names[0], names[-1]


def principals_group(person: Person) -> str:
    return f"group:{person.group.pk}"

"""The promises that only real threads on a real database can break."""

from __future__ import annotations

import datetime as dt
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection, transaction

from securecore import clock
from securecore.errors import Busy, NonceReused, PermissionDenied
from securecore.grants import Grant, authorize, gate, grant, principal_of
from securecore.idempotency import IdempotencyRecord
from securecore.models import SeenNonce
from securecore.purge import purge
from securecore.replay import claim_nonce
from securecore.revocation import revoke_grant, revoke_token
from tests.support.views import effects, make_effect

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls("tests.support.views")]

ALICE, BOB, MAKE, JSON = "user:1001", "user:1002", "things.make", "application/json"
THREADS = 16
ROUNDS = 10


class TestIdempotencyKey:
    def test_idempotency_key_of_sixteen_threads_has_one_effect_and_sixteen_equal_answers(
        self, run_together: Any, mtls_client: Any, users: Any
    ) -> None:
        grant(principal=principal_of(users["alice"]), permission=MAKE, now=clock.now())
        clients = [mtls_client("alice") for _ in range(THREADS)]
        for url in ("/idempotent", "/idempotent/handler", "/guarded/handler"):
            for number in range(ROUNDS):
                before = effects()
                headers = {"Idempotency-Key": f"{url} {number}".strip("/").replace(" ", "-")}
                answers = run_together(THREADS, lambda i, h=headers, u=url: clients[i].post(u, {}, JSON, headers=h))
                assert {answer.status_code for answer in answers} == {201}
                assert len({answer.content for answer in answers}) == 1
                assert effects() == before + 1
                assert sum("Idempotency-Replayed" not in answer for answer in answers) == 1

    def test_idempotency_key_is_free_again_when_the_first_twin_fails(self, run_together: Any, mtls_client: Any) -> None:
        """The first request rolls back. Then the twin that waited for it runs the view itself: no effect is lost or
        doubled.
        """
        clients = [mtls_client("alice", raise_request_exception=False) for _ in range(THREADS)]

        def post(index: int) -> Any:
            outcome = "?outcome=broken" if index % 2 else ""
            # Half of the requests share a key and succeed, the other half share another key and fail.
            return clients[index].post(f"/idempotent{outcome}", headers={"Idempotency-Key": f"half-{index % 2}"})

        answers = run_together(THREADS, post)
        assert Counter(answer.status_code for answer in answers) == {201: THREADS // 2, 500: THREADS // 2}
        assert effects() == 1
        assert IdempotencyRecord.objects.count() == 1

    @pytest.mark.one_process
    def test_idempotency_key_answers_409_to_a_twin_that_waited_too_long(self, mtls_client: Any, settings: Any) -> None:
        settings.SECURECORE = settings.SECURECORE | {"LOCK_TIMEOUT": 0.2}
        client = mtls_client("alice")
        entered, leave = threading.Event(), threading.Event()

        def slow(**_: Any) -> None:
            entered.set()
            leave.wait(30)

        from django.db.models.signals import post_save

        post_save.connect(slow, sender=Group)
        try:
            first: list[Any] = []
            thread = threading.Thread(target=_post_and_close, args=(mtls_client("alice"), first))
            thread.start()
            assert entered.wait(30)
            post_save.disconnect(slow, sender=Group)
            twin = client.post("/idempotent", headers={"Idempotency-Key": "slow"})
        finally:
            leave.set()
            thread.join(30)
        assert (twin.status_code, twin.json()["code"]) == (409, "idempotency-in-progress")
        assert twin["Retry-After"] == "1"
        assert first[0].status_code == 201
        assert client.post("/idempotent", headers={"Idempotency-Key": "slow"}).content == first[0].content
        assert effects() == 1


def _post_and_close(client: Any, answers: list[Any]) -> None:
    try:
        answers.append(client.post("/idempotent", headers={"Idempotency-Key": "slow"}))
    finally:
        connection.close()


class TestNonce:
    def test_nonce_presented_by_sixteen_threads_has_one_winner(self, run_together: Any, now: Any) -> None:
        def claim(nonce: str) -> bool:
            try:
                claim_nonce(nonce, scope="alice", made_at=now, now=now)
            except NonceReused:
                return False
            return True

        for number in range(ROUNDS):
            assert sum(run_together(THREADS, lambda _, n=number: claim(f"nonce-number-{n:04}"))) == 1

    def test_nonce_that_expired_is_taken_over_by_one(self, run_together: Any, now: Any) -> None:
        later = now + dt.timedelta(minutes=5)

        def claim(_: int) -> bool:
            try:
                claim_nonce("nonce-number-0000", scope="alice", made_at=later, now=later)
            except NonceReused:
                return False
            return True

        claim_nonce("nonce-number-0000", scope="alice", made_at=now, now=now)
        assert sum(run_together(THREADS, claim)) == 1

    def test_nonce_is_claimed_once_through_the_view(self, run_together: Any, mtls_client: Any, now: Any) -> None:
        clients = [mtls_client("alice") for _ in range(THREADS)]
        headers = {"X-Request-Timestamp": str(int(now.timestamp())), "X-Request-Nonce": "nonce-of-the-view"}
        answers = run_together(THREADS, lambda i: clients[i].post("/fresh", headers=headers))
        assert Counter(answer.status_code for answer in answers) == {201: 1, 409: THREADS - 1}
        assert effects() == 1


@pytest.fixture
def people(db: None) -> None:
    User.objects.create(pk=1001, username="alice of the races")
    User.objects.create(pk=1002, username="bob of the races")


@pytest.mark.usefixtures("people")
class TestGrantRevokedUnderLoad:
    def test_grant_revoked_under_load_is_never_outrun(self, run_together: Any, now: Any) -> None:
        """Sixteen threads make effects while another revokes. After its return the number of effects does not grow."""
        for _ in range(ROUNDS):
            Grant.objects.all().delete()
            grant(principal=ALICE, permission=MAKE, now=now)

            def work(index: int) -> int | str:
                if index == THREADS:
                    _until(lambda: effects() > 0)  # in the middle of the load
                    revoke_grant(principal=ALICE, permission=MAKE)
                    return effects()
                return _make_until_refused()

            assert run_together(THREADS + 1, work)[THREADS] == effects()

    @pytest.mark.one_process
    @pytest.mark.parametrize("first", ["effect", "revocation"])
    def test_grant_revoked_under_load_in_both_interleavings(self, now: Any, first: str) -> None:
        """The transaction that takes the gate first makes the other wait until its commit."""
        grant(principal=ALICE, permission=MAKE, now=now)
        inside, leave = threading.Event(), threading.Event()
        order: list[str] = []

        def effect() -> None:
            try:
                with authorize(ALICE, MAKE, clock=clock.now):
                    make_effect()
                    if first == "effect":
                        inside.set()
                        assert leave.wait(30)
                order.append("effect")
            except PermissionDenied:
                order.append("denied")

        def revocation() -> None:
            if first == "effect":
                revoke_grant(principal=ALICE, permission=MAKE)
            else:
                from securecore.grants import revoke

                with transaction.atomic():
                    revoke(principal=ALICE, permission=MAKE, now=now)
                    inside.set()
                    assert leave.wait(30)
            order.append("revoked")

        one, two = (effect, revocation) if first == "effect" else (revocation, effect)
        threads = [threading.Thread(target=_closing, args=(one,)), threading.Thread(target=_closing, args=(two,))]
        threads[0].start()
        assert inside.wait(30)
        threads[1].start()
        _wait_for_a_blocked_backend()
        assert order == []
        leave.set()
        for thread in threads:
            thread.join(30)
        assert sorted(order) == (["effect", "revoked"] if first == "effect" else ["denied", "revoked"])
        assert effects() == (1 if first == "effect" else 0)

    @pytest.mark.one_process
    def test_grant_revoked_under_load_waits_no_longer_than_it_may(self, now: Any, settings: Any) -> None:
        """The revocation waits for another change of the same principal, which it does not end
        (test_waiting_revocations.py).
        """
        settings.SECURECORE = settings.SECURECORE | {"LOCK_TIMEOUT": 0.2}
        grant(principal=ALICE, permission=MAKE, now=now)
        inside, leave = threading.Event(), threading.Event()

        def hold() -> None:
            with transaction.atomic():
                grant(principal=ALICE, permission="things.other", now=now)
                inside.set()
                leave.wait(10)

        holder = threading.Thread(target=_closing, args=(hold,))
        holder.start()
        try:
            assert inside.wait(30)
            with pytest.raises(Busy):
                revoke_grant(principal=ALICE, permission=MAKE)
        finally:
            leave.set()
            holder.join(30)
        assert Grant.objects.not_revoked().filter(permission=MAKE).exists()

    @pytest.mark.one_process
    def test_grant_revoked_under_load_makes_a_check_wait_no_longer_than_it_may(self, now: Any, settings: Any) -> None:
        settings.SECURECORE = settings.SECURECORE | {"LOCK_TIMEOUT": 0.2}
        grant(principal=ALICE, permission=MAKE, now=now)
        inside, leave = threading.Event(), threading.Event()

        def change() -> None:
            with transaction.atomic():
                gate.close(ALICE)
                inside.set()
                leave.wait(10)

        changing = threading.Thread(target=_closing, args=(change,))
        changing.start()
        try:
            assert inside.wait(30)
            with pytest.raises(Busy), authorize(ALICE, MAKE, clock=clock.now):
                make_effect()
        finally:
            leave.set()
            changing.join(30)
        assert effects() == 0

    @pytest.mark.one_process
    def test_grant_revoked_under_load_does_not_hold_up_anybody_else(self, now: Any, settings: Any) -> None:
        settings.SECURECORE = settings.SECURECORE | {"LOCK_TIMEOUT": 0.2}
        grant(principal=ALICE, permission=MAKE, now=now)
        grant(principal=BOB, permission=MAKE, now=now)
        other: list[bool] = []
        with authorize(ALICE, MAKE, clock=clock.now):
            thread = threading.Thread(
                target=_closing, args=(lambda: other.append(revoke_grant(principal=BOB, permission=MAKE)),)
            )
            thread.start()
            thread.join(30)
        assert other == [True]


class TestGrant:
    def test_grant_given_by_sixteen_threads_is_given_once(self, run_together: Any, now: Any) -> None:
        for number in range(ROUNDS):
            given = run_together(THREADS, lambda _, n=number: grant(principal=f"user:{n}", permission=MAKE, now=now))
            assert sum(given) == 1


def test_a_token_revoked_by_sixteen_threads_is_revoked_once(run_together: Any, now: Any) -> None:
    until = now + dt.timedelta(minutes=5)
    news = run_together(THREADS, lambda _: revoke_token(issuer="https://testserver", jti="one", expires_at=until))
    assert sum(news) == 1


class TestPurge:
    def test_purge_runs_twice_at_once_and_deletes_each_row_once(self, run_together: Any, now: Any) -> None:
        expired = now - dt.timedelta(hours=1)
        SeenNonce.objects.bulk_create(SeenNonce(id=uuid.uuid4(), expires_at=expired) for _ in range(5000))
        purges = run_together(4, lambda _: purge(now=now, batch_size=100))
        purge(now=now)  # a purge skips a batch that another purge has locked
        assert sum(each.rows["securecore_seen_nonce"] for each in purges) <= 5000
        assert not SeenNonce.objects.exists()

    def test_purge_lets_no_nonce_in_twice_while_it_runs(self, run_together: Any, now: Any) -> None:
        """Requests claim live nonces while purges delete expired rows."""
        expired = now - dt.timedelta(hours=1)
        SeenNonce.objects.bulk_create(SeenNonce(id=uuid.uuid4(), expires_at=expired) for _ in range(2000))

        def work(index: int) -> int:
            if index < 2:
                purge(now=now, batch_size=50)
                return 0
            won = 0
            for number in range(100):
                try:
                    claim_nonce(f"nonce-number-{number:04}", scope="alice", made_at=now, now=now)
                    won += 1
                except NonceReused:
                    pass
            return won

        assert sum(run_together(8, work)) == 100


def _make_until_refused() -> str:
    while True:
        try:
            with authorize(ALICE, MAKE, clock=clock.now):
                make_effect()
        except PermissionDenied:
            return "refused"


def _closing(work: Any) -> None:
    try:
        work()
    finally:
        connection.close()


def _wait_for_a_blocked_backend() -> None:
    """Return when some backend waits for another's lock. Only PostgreSQL can report that."""

    def there_is_one() -> bool:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity "
                "WHERE datname = current_database() AND cardinality(pg_blocking_pids(pid)) > 0"
            )
            return bool(cursor.fetchone()[0])

    _until(there_is_one)


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)

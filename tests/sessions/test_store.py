"""The session engine by itself: the interface that Django expects, and securecore's own promises."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import SESSION_KEY
from django.contrib.auth.models import User
from django.contrib.sessions.backends.base import UpdateError
from django.contrib.sessions.exceptions import SessionInterrupted
from django.contrib.sessions.management.commands import clearsessions
from django.core.exceptions import SuspiciousOperation
from django.core.management import call_command
from django.db import connection

from securecore import clock
from securecore.sessions import Session, SessionStore
from securecore.sessions.models import GRACE

pytestmark = pytest.mark.django_db

HOUR = dt.timedelta(hours=1)
DAY = dt.timedelta(days=1)
ALICE = "x5t#S256:alice"
BOB = "x5t#S256:bob"
#: Ids that securecore never issued: short, long, hostile.
PLANTED = [
    "",
    "1",
    "1234567",
    "12345678",
    "planted-by-the-attacker",
    "a" * 43,
    "a" * 100_000,
    "' OR '1'='1",
    "'; DROP TABLE securecore_session; --",
    "%s%s%s%n",
    "../../etc/passwd",
    "null\0byte\0within",
    "\xff\xfe\xfd\xfc\xfb\xfa\xf9\xf8",
    "\u0661\u0662\u0663\u0664\u0665\u0666\u0667\u0668",
    "\ud800\ud800\ud800\ud800\ud800\ud800\ud800\ud800",
    "00000000-0000-0000-0000-000000000000",
]


def opened(binding: str = ALICE, **data: Any) -> SessionStore:
    """A session that was saved."""
    store = SessionStore(None, binding)
    store.update(data)
    store.save()
    return store


def again(store: SessionStore, binding: str = ALICE) -> SessionStore:
    """The same session, as the next request finds it."""
    return SessionStore(store.session_key, binding)


def whole_table() -> str:
    """Return every row as text, with the data of every session readable."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM securecore_session")
        rows = cursor.fetchall()
    return repr(rows) + repr([SessionStore().decode(row.data) for row in Session.objects.all()])


class TestNewSession:
    def test_new_session_is_neither_accessed_nor_modified_nor_stored(self) -> None:
        store = SessionStore(None, ALICE)
        assert (store.accessed, store.modified, store.session_key, store.is_empty()) == (False, False, None, True)
        assert Session.objects.count() == 0

    def test_new_session_gets_its_id_when_saved(self) -> None:
        store = opened(cart=[1])
        assert again(store)["cart"] == [1]
        assert store.exists(str(store.session_key))

    def test_new_session_has_an_id_of_256_random_bits(self) -> None:
        ids = {str(opened().session_key) for _ in range(16)}
        assert len(ids) == 16
        assert {len(each) for each in ids} == {43}

    def test_new_session_is_found_by_a_digest_and_its_id_is_nowhere(self) -> None:
        store = opened(cart="a thing")
        key = str(store.session_key)
        assert "a thing" in whole_table()
        assert key not in whole_table()
        for part in (key[:12], key[-12:], key.encode().hex()):
            assert part not in whole_table()

    def test_new_session_may_be_created_before_there_is_anything_in_it(self) -> None:
        store = SessionStore(None, ALICE)
        store.create()
        assert again(store).exists(str(store.session_key))
        assert dict(again(store).items()) == {}


class TestContents:
    def test_contents_behave_like_a_dictionary(self) -> None:
        store = opened(a=1, b=2)
        store["c"] = 3
        del store["a"]
        assert (store.pop("b"), store.pop("b", None), store.setdefault("d", 4), store.setdefault("d", 5)) == (
            2,
            None,
            4,
            4,
        )
        assert (dict(store.items()), "c" in store, store.get("x", 9)) == ({"c": 3, "d": 4}, True, 9)
        with pytest.raises(KeyError):
            store.pop("b")
        store.save()
        assert dict(again(store).items()) == {"c": 3, "d": 4}

    def test_contents_are_kept_by_saving_twice(self) -> None:
        store = again(opened(a=1))
        store.save()
        store.save()
        assert again(store)["a"] == 1

    def test_contents_that_were_not_touched_are_not_modified(self) -> None:
        store = again(opened(a=1))
        assert (store.get("a"), store.accessed, store.modified) == (1, True, False)

    @pytest.mark.parametrize("data", ["", "garbage", "a:b:c", "\u2603", "x" * 10_000])
    def test_contents_that_were_tampered_with_are_none(self, data: str) -> None:
        store = opened(admin=True)
        Session.objects.update(data=data)
        assert dict(again(store).items()) == {}

    def test_contents_of_another_session_cannot_be_copied_under_another_secret(self, settings: Any) -> None:
        store = opened(admin=True)
        settings.SECRET_KEY = "another secret"
        assert dict(again(store).items()) == {}


class TestPlantedId:
    @pytest.mark.parametrize("planted", PLANTED)
    def test_planted_id_is_never_adopted(self, planted: str) -> None:
        store = SessionStore(planted, ALICE)
        assert store.get("anything") is None
        store["cart"] = [1]
        store.save()
        assert store.session_key not in (planted, None)
        assert SessionStore(planted, ALICE).get("cart") is None
        assert Session.objects.count() == 1

    @pytest.mark.parametrize("planted", PLANTED[2:])
    def test_planted_id_is_never_adopted_unread(self, planted: str) -> None:
        store = SessionStore(planted, ALICE)
        store.clear()
        store["cart"] = [1]
        try:
            store.save()
        except UpdateError:
            store.create()
        assert store.session_key != planted
        assert not SessionStore(None, ALICE).exists(planted)

    @pytest.mark.parametrize("planted", PLANTED)
    def test_planted_id_is_never_adopted_by_a_new_id(self, planted: str) -> None:
        store = SessionStore(planted, ALICE)
        store.cycle_key()
        assert store.session_key not in (planted, None)
        assert not store.exists(planted)

    def test_planted_id_of_an_expired_session_is_not_revived(self, now: dt.datetime) -> None:
        store = opened(a=1)
        Session.objects.update(expires_at=now)
        late = again(store)
        late["a"] = 2
        late.save()
        assert late.session_key != store.session_key
        assert again(store).get("a") is None

    def test_planted_id_that_is_a_row_s_key_opens_nothing(self) -> None:
        """The digest that the list of sessions shows, and that a reader of the table sees, opens no session."""
        opened(a=1)
        row = Session.objects.get()
        for presented in (str(row.pk), row.pk.hex):
            assert SessionStore(presented, ALICE).get("a") is None


class TestCycleKey:
    def test_cycle_key_keeps_the_contents_and_kills_the_old_id(self, now: dt.datetime) -> None:
        store = opened(a=1)
        old = store.session_key
        store.cycle_key()
        assert store.session_key != old
        assert again(store)["a"] == 1
        Session.objects.update(rotated_at=now - GRACE)
        assert SessionStore(old, ALICE).get("a") is None
        assert Session.objects.count() == 1

    def test_cycle_key_of_an_empty_session_gives_an_id(self) -> None:
        store = SessionStore(None, ALICE)
        store.cycle_key()
        assert again(store).exists(str(store.session_key))

    def test_cycle_key_keeps_what_was_not_saved_yet(self) -> None:
        store = again(opened(a=1))
        store["b"] = 2
        store.cycle_key()
        store.save()
        assert dict(again(store).items()) == {"a": 1, "b": 2}

    def test_cycle_key_keeps_the_binding_and_the_absolute_timeout(self) -> None:
        store = opened(a=1)
        before = Session.objects.values("binding", "ends_at", "created_at").get()
        store.cycle_key()
        store.save()
        assert Session.objects.values("binding", "ends_at", "created_at").get() == before

    @pytest.mark.parametrize("rotate", [SessionStore.cycle_key, async_to_sync(SessionStore.acycle_key)])
    def test_cycle_key_does_not_bring_an_ended_session_back(
        self, rotate: Callable[[SessionStore], None], db: None
    ) -> None:
        store = opened(**{SESSION_KEY: "1"})
        assert store[SESSION_KEY] == "1"
        Session.objects.all().delete()
        with pytest.raises(SessionInterrupted):
            rotate(store)
        assert Session.objects.count() == 0

    def test_cycle_key_of_nobody_s_ended_session_starts_another(self) -> None:
        store = opened(cart=[1])
        Session.objects.all().delete()
        store.cycle_key()
        assert again(store)["cart"] == [1]


class TestEndedSession:
    """A request in flight has a session that another request ends."""

    @pytest.fixture
    def in_flight(self) -> SessionStore:
        store = again(opened(**{SESSION_KEY: "1"}))
        assert store[SESSION_KEY] == "1"
        store["late"] = True
        return store

    @pytest.mark.parametrize("save", [SessionStore.save, async_to_sync(SessionStore.asave)])
    def test_ended_session_is_not_written_back(
        self, in_flight: SessionStore, save: Callable[[SessionStore], None]
    ) -> None:
        again(in_flight).flush()
        with pytest.raises(UpdateError):
            save(in_flight)
        assert Session.objects.count() == 0

    def test_ended_session_is_not_written_back_after_it_expired(
        self, in_flight: SessionStore, now: dt.datetime
    ) -> None:
        Session.objects.update(expires_at=now)
        with pytest.raises(UpdateError):
            in_flight.save()
        assert SESSION_KEY not in again(in_flight)

    def test_ended_session_is_not_written_back_under_its_old_id(self, in_flight: SessionStore) -> None:
        again(in_flight).cycle_key()
        with pytest.raises(UpdateError):
            in_flight.save()
        assert "late" not in whole_table()

    def test_ended_session_is_not_written_by_another_certificate(self, in_flight: SessionStore) -> None:
        stolen = again(in_flight, BOB)
        stolen.clear()  # without reading the session, so that nothing notices the mismatch
        stolen["late"] = "by Bob"
        with pytest.raises(UpdateError):
            stolen.save()
        assert "by Bob" not in whole_table()

    @pytest.mark.parametrize("end", [SessionStore.flush, SessionStore.delete, async_to_sync(SessionStore.aflush)])
    def test_ended_session_is_ended_by_its_own(
        self, in_flight: SessionStore, end: Callable[[SessionStore], None]
    ) -> None:
        end(again(in_flight))
        assert Session.objects.count() == 0

    @pytest.mark.parametrize("end", [SessionStore.flush, SessionStore.delete, async_to_sync(SessionStore.aflush)])
    @pytest.mark.parametrize("binding", [BOB, ""])
    def test_ended_session_is_not_ended_by_another_certificate(
        self, in_flight: SessionStore, end: Callable[[SessionStore], None], binding: str
    ) -> None:
        end(again(in_flight, binding))
        assert again(in_flight)[SESSION_KEY] == "1"

    def test_ended_session_is_ended_by_name(self, in_flight: SessionStore) -> None:
        """`SessionStore().delete(key)` of Django's API is how an application ends a session by its key."""
        SessionStore().delete(in_flight.session_key)
        assert Session.objects.count() == 0


class TestBinding:
    @pytest.mark.parametrize(("bound", "presented"), [(ALICE, BOB), (ALICE, ""), ("", ALICE), (ALICE, ALICE + "x")])
    def test_binding_to_something_else_loads_nothing(self, bound: str, presented: str) -> None:
        store = opened(bound, a=1)
        other = again(store, presented)
        assert other.get("a") is None
        assert other.session_key is None
        assert again(store, bound)["a"] == 1

    def test_binding_to_nothing_is_a_session_too(self) -> None:
        assert again(opened("", a=1), "")["a"] == 1

    def test_binding_of_a_rotation_cannot_be_changed(self) -> None:
        store = again(opened(a=1), BOB)
        store.cycle_key()
        assert store.get("a") is None
        assert sorted(Session.objects.values_list("binding", flat=True)) == [ALICE, BOB]


class TestTimeouts:
    def test_timeouts_are_an_hour_idle_and_a_day_in_all(self, now: dt.datetime) -> None:
        opened(a=1)
        row = Session.objects.get()
        assert now <= row.created_at == row.last_seen_at
        assert (row.expires_at - row.created_at, row.ends_at - row.created_at) == (HOUR, DAY)

    def test_timeouts_are_configurable(self, settings: Any) -> None:
        settings.SECURECORE = {**settings.SECURECORE, "SESSION_IDLE_TIMEOUT": 600, "SESSION_ABSOLUTE_TIMEOUT": 900}
        opened(a=1)
        row = Session.objects.get()
        assert (row.expires_at - row.created_at, row.ends_at - row.created_at) == (
            dt.timedelta(minutes=10),
            dt.timedelta(minutes=15),
        )

    def test_timeouts_end_an_idle_session(self, now: dt.datetime) -> None:
        store = opened(a=1)
        Session.objects.update(expires_at=now)
        assert again(store).get("a") is None
        assert not store.exists(str(store.session_key))

    def test_timeouts_are_extended_by_use(self, now: dt.datetime) -> None:
        store = opened(a=1)
        Session.objects.update(last_seen_at=now - HOUR / 2, expires_at=now + HOUR / 2)
        assert again(store)["a"] == 1
        row = Session.objects.get()
        assert row.last_seen_at >= now
        assert row.expires_at - row.last_seen_at == HOUR

    def test_timeouts_are_not_extended_beyond_the_absolute_one(self, now: dt.datetime) -> None:
        store = opened(a=1)
        end = now + dt.timedelta(minutes=5)
        Session.objects.update(last_seen_at=now - HOUR, expires_at=end, ends_at=end)
        used = again(store)
        assert used["a"] == 1
        used["a"] = 2
        used.save()
        row = Session.objects.get()
        assert row.expires_at == row.ends_at == end

    def test_timeouts_cannot_be_extended_by_a_view(self) -> None:
        for expiry in (30 * 86_400, DAY * 30, dt.datetime.now(dt.UTC) + DAY * 30, 10**15):
            store = SessionStore(None, ALICE)
            store.set_expiry(expiry)
            store.save()
            store.save()
            row = Session.objects.get()
            assert row.expires_at <= row.last_seen_at + HOUR
            row.delete()

    @pytest.mark.parametrize("expiry", [60, dt.timedelta(seconds=60)])
    def test_timeouts_can_be_shortened_by_a_view(self, expiry: Any) -> None:
        store = opened(a=1)
        store.set_expiry(expiry)
        store.save()
        row = Session.objects.get()
        assert row.expires_at <= row.last_seen_at + dt.timedelta(seconds=60)

    def test_timeouts_stay_the_same_until_the_browser_closes(self) -> None:
        store = opened(a=1)
        store.set_expiry(0)
        store.save()
        assert store.get_expire_at_browser_close()
        row = Session.objects.get()
        assert row.expires_at - row.last_seen_at == HOUR

    def test_timeouts_in_the_past_end_the_session(self) -> None:
        store = opened(a=1)
        store.set_expiry(-1)
        store.save()
        assert again(store).get("a") is None

    def test_timeouts_shorter_than_a_minute_are_extended_by_use(self, settings: Any) -> None:
        settings.SECURECORE = {**settings.SECURECORE, "SESSION_IDLE_TIMEOUT": 30}
        store = opened(a=1)
        now, seconds = clock.now(), dt.timedelta(seconds=1)
        Session.objects.update(last_seen_at=now - 20 * seconds, expires_at=now + 10 * seconds)
        assert again(store)["a"] == 1
        assert Session.objects.get().expires_at > now + 25 * seconds


class TestLastSeen:
    @pytest.mark.parametrize(("seconds_ago", "queries"), [(0, 1), (30, 1), (61, 2), (3_000, 2)])
    def test_last_seen_is_written_at_most_once_a_minute(
        self, now: dt.datetime, django_assert_num_queries: Any, seconds_ago: int, queries: int
    ) -> None:
        store = opened(a=1)
        Session.objects.update(last_seen_at=now - dt.timedelta(seconds=seconds_ago))
        with django_assert_num_queries(queries):
            assert again(store)["a"] == 1
        with django_assert_num_queries(1):
            assert again(store)["a"] == 1


class TestUser:
    def test_user_is_in_the_row(self, django_user_model: type[User]) -> None:
        alice = django_user_model.objects.create(username="alice")
        opened(**{SESSION_KEY: str(alice.pk)})
        assert Session.objects.get().user == alice

    def test_user_that_is_deleted_ends_the_sessions(self, django_user_model: type[User]) -> None:
        alice, bob = (django_user_model.objects.create(username=name) for name in ("alice", "bob"))
        store = opened(**{SESSION_KEY: str(alice.pk)})
        others = opened(**{SESSION_KEY: str(bob.pk)})
        alice.delete()
        assert again(store).get(SESSION_KEY) is None
        assert again(others)[SESSION_KEY] == str(bob.pk)

    def test_user_that_cannot_exist_is_suspicious(self) -> None:
        store = SessionStore(None, ALICE)
        store[SESSION_KEY] = "nobody"
        with pytest.raises(SuspiciousOperation):
            store.save()
        assert Session.objects.count() == 0


class TestClearExpired:
    def test_clear_expired_deletes_what_has_expired_and_nothing_else(self, now: dt.datetime) -> None:
        expired, live = opened(a=1), opened(a=2)
        Session.objects.filter(pk=Session.objects.earliest("created_at").pk).update(expires_at=now)
        call_command(clearsessions.Command())
        assert again(expired).get("a") is None
        assert again(live)["a"] == 2
        assert Session.objects.count() == 1

    def test_clear_expired_keeps_what_is_in_use(self) -> None:
        store = opened(a=1)
        SessionStore.clear_expired()
        assert isinstance(Session.objects.get().pk, UUID)
        assert again(store)["a"] == 1

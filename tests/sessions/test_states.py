"""The state of a session in one request, as ``session.state`` names it."""

from __future__ import annotations

import datetime as dt

import pytest
from django.contrib.auth import SESSION_KEY
from django.contrib.auth.models import User
from django.db import transaction

from securecore import clock
from securecore.sessions import Session, SessionState, SessionStore
from tests.sessions.test_store import ALICE, BOB, again, opened

pytestmark = pytest.mark.django_db


def read(store: SessionStore) -> SessionStore:
    assert store.get("anything") is None
    return store


def live_user() -> dict[str, str]:
    return {SESSION_KEY: str(User.objects.create(username="alice").pk)}


class TestPresentedId:
    def test_presented_id_that_nothing_has_read(self) -> None:
        assert again(opened(a=1)).state is SessionState.UNREAD

    @pytest.mark.parametrize("presented", [None, "", "never issued by securecore"])
    def test_presented_id_that_no_session_has(self, presented: str | None) -> None:
        assert read(SessionStore(presented, ALICE)).state is SessionState.ABSENT

    def test_presented_id_of_an_expired_session(self, now: dt.datetime) -> None:
        store = opened(a=1)
        Session.objects.update(expires_at=now)
        assert read(again(store)).state is SessionState.ABSENT

    def test_presented_id_of_a_session_under_another_binding(self) -> None:
        assert read(again(opened(a=1), BOB)).state is SessionState.REFUSED

    def test_presented_id_of_a_live_session(self) -> None:
        assert read(again(opened(a=1))).state is SessionState.CURRENT

    def test_presented_id_from_before_a_change_of_privileges(self) -> None:
        store = opened(**live_user())
        User.objects.update(is_staff=True)
        assert read(again(store)).state is SessionState.OUTDATED

    def test_presented_id_that_was_rotated(self) -> None:
        store = opened(a=1)
        presented = again(store)
        store.rotate()
        assert read(presented).state is SessionState.REPLACED
        assert presented.state.is_read_only

    def test_presented_id_from_before_a_login(self) -> None:
        store = opened(a=1)
        presented, in_login = again(store), again(store)
        in_login.update(live_user())
        in_login.begin()
        assert read(presented).state is SessionState.BEFORE_LOGIN
        assert presented.state.is_read_only


class TestTransition:
    def test_transition_by_a_rotation(self) -> None:
        store = opened(**live_user())
        User.objects.update(is_staff=True)
        outdated = read(again(store))
        outdated.rotate()
        assert outdated.state is SessionState.CURRENT

    def test_transition_by_a_rotation_that_another_request_made_first(self) -> None:
        store = read(again(opened(a=1)))
        again(store).rotate()
        store.rotate()
        assert store.state is SessionState.REPLACED

    def test_transition_by_a_login(self) -> None:
        store = read(again(opened(a=1), BOB))
        store.update(live_user())
        store.begin()
        assert store.state is SessionState.CURRENT

    def test_transition_by_a_logout(self) -> None:
        store = read(again(opened(a=1)))
        store.flush()
        assert store.state is SessionState.ENDED

    def test_transition_by_a_logout_with_the_id_before_a_rotation(self) -> None:
        store = opened(a=1)
        presented = again(store)
        store.rotate()
        presented.end()
        assert presented.state is SessionState.ENDED
        assert not Session.objects.live(clock.now()).exists()

    def test_transition_by_a_rollback(self) -> None:
        store = read(again(opened(a=1)))
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            store.rotate()
            raise ZeroDivisionError
        store.settle()
        assert store.state is SessionState.UNREAD
        assert read(store).state is SessionState.CURRENT

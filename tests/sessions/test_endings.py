"""The audit rows of ended sessions: user, session id, certificate, address and device, and no row about nobody."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User

from securecore import clock, revocation
from securecore.admin.operations import MOST_ROWS as MOST_SELECTED
from securecore.grants import principal_of
from securecore.models import AuditRow
from securecore.sessions import Session, endings
from securecore.testing import MutualTLSClient
from tests.management.commands import objects, printed
from tests.sessions.test_endpoints import log_in

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.sessions.urls")]

Clients = Callable[..., MutualTLSClient]

DEVICE = "Thief/99 (stolen laptop)"


@pytest.fixture
def alice(mtls_client: Clients) -> MutualTLSClient:
    client = mtls_client("alice", HTTP_USER_AGENT=DEVICE, HTTP_X_REAL_IP="192.0.2.7")
    log_in(client)
    return client


def rows_of(event: str) -> list[AuditRow]:
    return list(AuditRow.objects.filter(event=f"securecore.sessions.{event}").order_by("id"))


def open_sessions(*users: User | None) -> None:
    """Store a session for each user, without an audit row."""
    now = clock.now()
    columns = {"data": "", "created_at": now, "last_seen_at": now}
    ends = now + dt.timedelta(hours=1)
    for number, user in enumerate(users):
        key = f"00000000-0000-0000-0000-{number:012x}"
        Session.objects.create(pk=key, user=user, expires_at=ends, ends_at=ends, **columns)


class TestOne:
    def test_a_session_that_an_operator_ended_names_its_user_and_device(self, alice: MutualTLSClient) -> None:
        session = Session.objects.get()
        told = printed("securecore_sessions", "end", "--id", str(session.pk), "--reason", "ticket 4717")
        assert told == "1 session was ended.\n"
        (row,) = rows_of("session-ended")
        assert row.subject == principal_of(session.user)
        assert row.payload == {
            "user": row.subject,
            "session": str(session.pk),
            "certificate": session.certificate,
            "address": "192.0.2.7",
            "device": DEVICE,
            "reason": "ticket 4717",
        }
        listed = objects("securecore_audit", "list", "--user", "alice", "--event", row.event)
        assert [each["payload"]["session"] for each in listed] == [str(session.pk)]

    def test_a_session_of_a_certificate_and_one_beyond_the_limit_do_so_too(
        self, alice: MutualTLSClient, mtls_client: Clients, settings: Any
    ) -> None:
        settings.SECURECORE = {**settings.SECURECORE, "SESSION_LIMIT": 1}
        first = Session.objects.get()
        log_in(mtls_client("alice", HTTP_USER_AGENT="curl/8"))
        second = Session.objects.get()
        revocation.end_sessions(thumbprint=second.certificate, reason="test")
        assert [(row.subject, row.payload["session"], row.payload["device"]) for row in rows_of("session-ended")] == [
            (principal_of(first.user), str(first.pk), DEVICE),
            (principal_of(first.user), str(second.pk), "curl/8"),
        ]

    def test_an_anonymous_session_is_named_by_its_id(self) -> None:
        open_sessions(None)
        revocation.end_selected_sessions(Session.objects.all(), reason="test")
        (row,) = rows_of("session-ended")
        assert row.subject == f"session:{row.payload['session']}"

    def test_an_end_of_no_session_has_no_row(self, users: dict[str, User]) -> None:
        for ended in ({"user": users["bob"]}, {"thumbprint": "x" * 42 + "A"}, {"everybody": True}):
            assert revocation.end_sessions(reason="test", **ended) == 0
        revocation.end_selected_sessions(Session.objects.all(), reason="test")
        assert not rows_of("session-ended")
        assert not rows_of("sessions-ended")


class TestMany:
    def test_the_sessions_of_a_user_have_one_row(self, alice: MutualTLSClient, mtls_client: Clients) -> None:
        log_in(mtls_client("alice"))
        printed("securecore_sessions", "end", "--user", "alice")
        (row,) = rows_of("sessions-ended")
        assert (row.subject, row.payload["count"]) == (principal_of(User.objects.get(username="alice")), 2)

    def test_the_sessions_of_everyone_have_one_row(self, users: dict[str, User]) -> None:
        open_sessions(users["alice"], users["bob"], None)
        printed("securecore_sessions", "end", "--all", "--yes")
        (row,) = rows_of("sessions-ended")
        assert (row.subject, row.payload["count"]) == ("everyone", 3)
        assert not rows_of("session-ended")

    def test_a_large_selection_has_a_bounded_number_of_rows(
        self, users: dict[str, User], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(endings, "MOST_ROWS", 2)
        open_sessions(users["alice"], users["alice"], users["bob"], None)
        assert revocation.end_selected_sessions(Session.objects.all(), reason="test") == 4
        rows = rows_of("sessions-ended")
        assert len(rows) == 3
        assert rows[-1].subject == "further users"
        assert sum(row.payload["count"] for row in rows) == 4

    def test_each_selection_of_the_admin_has_a_row_for_each_session(self) -> None:
        assert MOST_SELECTED <= endings.MOST_ROWS


class TestOpened:
    def test_login_and_logout_have_address_and_device(self, alice: MutualTLSClient) -> None:
        alice.post("/auth/logout")
        for event in ("session-opened", "session-closed"):
            (row,) = rows_of(event)
            assert (row.payload["address"], row.payload["device"]) == ("192.0.2.7", DEVICE), event

    def test_a_long_device_is_cut(self, mtls_client: Clients) -> None:
        log_in(mtls_client("alice", HTTP_USER_AGENT="x" * 5_000 + "\0\n"))
        (row,) = rows_of("session-opened")
        assert row.payload["device"] == "x" * 200

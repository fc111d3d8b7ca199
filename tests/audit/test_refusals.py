"""Refusals are counted by minute, without a statement in the refused request, and in a bounded number."""

from __future__ import annotations

import datetime as dt
import io
import json
from typing import Any

import pytest
from django.core.management import call_command
from django.db import OperationalError
from django.test import RequestFactory

from securecore import audit, clock
from securecore.actors import Actor
from securecore.audit import refusals as module
from securecore.audit.models import RefusalCount, RefusalTotal
from securecore.audit.refusals import MOST, RefusalCounts
from securecore.errors import InvalidToken, NonceReused
from securecore.http.problems import problem_response
from securecore.testing import FakeClock

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.http.urls")]


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch, fake_clock: FakeClock) -> RefusalCounts:
    """New counts, in a minute that does not end during the test."""
    new = RefusalCounts()
    monkeypatch.setattr(audit, "refusal_counts", new)
    return new


def rows() -> list[tuple[Any, ...]]:
    return sorted(RefusalCount.objects.values_list("code", "reason", "route", "actor", "count"))


def test_refusals_are_counted_by_code_and_reason(counts: RefusalCounts, rf: RequestFactory) -> None:
    refusal = InvalidToken()
    refusal.__cause__ = ValueError("x")
    for each in (NonceReused(), NonceReused(), refusal):
        problem_response(rf.get("/"), each)
    assert rows() == []
    counts.flush()
    assert rows() == [("invalid-token", "value-error", "", "", 1), (NonceReused.code, "", "", "", 2)]
    problem_response(rf.get("/"), NonceReused())
    counts.flush()
    assert rows()[1][-1] == 3


def test_count_has_the_route_and_the_user_and_never_the_path(counts: RefusalCounts, mtls_client: Any) -> None:
    client = mtls_client("alice")
    assert client.get("/raises/refused?q=secret").status_code == 402
    counts.flush()
    [(code, _, route, actor, count)] = rows()
    assert (code, route, count) == ("payment-required", "raises/<str:kind>", 1) or route.startswith("raises/")
    assert actor.startswith("user:")


def test_totals_leave_out_the_actor_and_sum_the_hour(
    counts: RefusalCounts, monkeypatch: pytest.MonkeyPatch, now: dt.datetime
) -> None:
    hour = now.replace(minute=0, second=0, microsecond=0)
    for minute, name in ((0, "user:1"), (0, "user:2"), (59, "user:1"), (60, "user:1")):
        monkeypatch.setattr(module.clock, "now", lambda minute=minute: hour + dt.timedelta(minutes=minute))
        with audit.acting(Actor(kind="user", name=name)):
            counts.count(code="nonce-reused", reason="r", route=f"of/{name}")
        counts.flush()
    monkeypatch.undo()
    assert RefusalCount.objects.count() == 4
    named = ("nonce-reused", "r")
    later = [hour + dt.timedelta(minutes=minute) for minute in (60, 59, 0)]
    by_minute = [(later[0], *named, 1), (later[1], *named, 1), (later[2], *named, 2)]
    assert module.totals_since(hour, seconds=module.MINUTE, limit=10) == by_minute
    assert module.totals_since(hour, seconds=module.HOUR, limit=10) == [(later[0], *named, 1), (hour, *named, 3)]
    assert module.totals_since(hour, seconds=module.MINUTE, limit=1) == by_minute[:1]
    assert RefusalTotal.objects.filter(expires_at__gt=hour + dt.timedelta(days=34)).count() == 2


def test_refused_request_runs_no_statement(
    counts: RefusalCounts, rf: RequestFactory, django_assert_num_queries: Any
) -> None:
    with django_assert_num_queries(0):
        problem_response(rf.get("/"), NonceReused())


def test_counts_are_bounded(counts: RefusalCounts) -> None:
    for number in range(3 * MOST):
        with audit.acting(Actor(kind="user", name=f"user:{number}")):
            counts.count(code="nonce-reused", route="a")
    counts.flush()
    assert RefusalCount.objects.count() <= MOST + 2
    assert sum(row[-1] for row in rows()) == 3 * MOST


def test_name_that_no_database_stores_keeps_no_count_from_the_table(counts: RefusalCounts) -> None:
    for name in ("user:a\x00", "user:\ud800", "user:7"):
        counts.count(code="nonce-reused", actor=name)
    counts.flush()
    assert [row[-2] for row in rows()] == ["user:7", "user:\\ud800", "user:a\\x00"]


def test_counts_are_flushed_after_a_later_response(
    counts: RefusalCounts, rf: RequestFactory, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem_response(rf.get("/"), NonceReused())
    client.get("/seen")
    assert rows() == []
    monkeypatch.setattr(module, "INTERVAL", 0)
    client.get("/seen")
    assert [row[-1] for row in rows()] == [1]


def test_counts_of_a_database_that_is_away_wait_for_it(
    counts: RefusalCounts, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> Any:
        raise OperationalError("away")

    counts.count(code="nonce-reused")
    monkeypatch.setattr(module.database, "connection", fail)
    counts.flush()
    assert "the counts of 1 refusals wait for the database" in caplog.text
    assert not counts.is_due, "the next try is a minute later"
    counts.count(code="nonce-reused")
    monkeypatch.undo()
    counts.flush()
    assert [row[-1] for row in rows()] == [2]


def test_command_sums_the_last_minutes(counts: RefusalCounts, monkeypatch: pytest.MonkeyPatch) -> None:
    now = clock.now()
    for minutes in (0, 1, 90):
        monkeypatch.setattr(module.clock, "now", lambda minutes=minutes: now - dt.timedelta(minutes=minutes))
        counts.count(code="nonce-reused")
    monkeypatch.undo()
    counts.flush()
    out = io.StringIO()
    call_command("securecore_audit", "refusals", "--json", stdout=out)
    assert json.loads(out.getvalue()) == {"code": "nonce-reused", "reason": "", "count": 2}

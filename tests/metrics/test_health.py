"""``/healthz`` and ``/readyz``."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from django.db import connection

from tests.http.test_database_away import GONE, away

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.metrics.urls")]


def test_healthz_answers_everybody_without_a_statement(client: Any, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        response = client.get("/healthz")
    assert (response.status_code, response.json(), response["Cache-Control"]) == (200, {"status": "ok"}, "no-store")


def test_readyz_is_ready_with_a_database(client: Any) -> None:
    response = client.get("/readyz")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


def test_readyz_says_not_ready_without_a_database_and_reveals_no_reason(
    client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING), away(GONE[0]):
        response = client.get("/readyz")
    assert (response.status_code, response.json()) == (503, {"status": "not ready"})
    assert "not ready: OperationalError" in caplog.text
    assert client.get("/healthz").status_code == 200


def test_readyz_says_not_ready_without_tables(client: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE securecore_audit RENAME TO other")
    assert client.get("/readyz").status_code == 503

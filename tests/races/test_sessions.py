"""Sessions under real concurrency."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from securecore.sessions import Session
from tests.sessions.test_endpoints import COOKIE, log_in

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls("tests.sessions.urls")]

LOGINS = 32


class TestLimit:
    @pytest.mark.parametrize("limit", [1, 5])
    def test_limit_holds_when_logins_come_at_once(
        self, run_together: Any, mtls_client: Any, settings: Any, limit: int
    ) -> None:
        settings.SECURECORE = {**settings.SECURECORE, "SESSION_LIMIT": limit, "LOCK_TIMEOUT": 30.0}
        clients = [mtls_client("alice") for _ in range(LOGINS)]
        for _ in range(3):
            answers = run_together(LOGINS, lambda i: clients[i].post("/auth/login"))
            assert Counter(answer.status_code for answer in answers) == {200: LOGINS}
            assert Session.objects.exclude(user=None).count() == limit


class TestRotation:
    def test_rotation_of_one_session_has_one_winner_and_logs_nobody_out(
        self, run_together: Any, mtls_client: Any
    ) -> None:
        browser = mtls_client("alice")
        key = log_in(browser)
        requests = [mtls_client("alice") for _ in range(LOGINS)]
        for each in requests:
            each.cookies[COOKIE] = key
        answers = run_together(LOGINS, lambda i: requests[i].get("/rotate"))
        assert Counter(answer.json()["user"] for answer in answers) == {"alice": LOGINS}
        given = [answer.cookies[COOKIE].value for answer in answers if COOKIE in answer.cookies]
        assert len(given) == 1
        browser.cookies[COOKIE] = given[0]
        assert browser.get("/session").json()["user"] == "alice"
        assert Session.objects.count() == 1

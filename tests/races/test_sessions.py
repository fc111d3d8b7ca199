"""Sessions under real concurrency."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from django.contrib.auth import SESSION_KEY
from django.test import RequestFactory

from securecore.http.sessions import login
from securecore.sessions import Session, SessionStore
from tests.races.test_authorization import Held, Thread, wait_until_blocked
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

    def test_limit_holds_when_a_login_comes_before_the_commit_of_another(self, enrolled: Any, settings: Any) -> None:
        """Two logins with one certificate wait for each other in any case: they write the names of the certificate."""
        settings.SECURECORE = {**settings.SECURECORE, "SESSION_LIMIT": 1}
        user = enrolled("alice")

        def log_in_plainly() -> None:
            request: Any = RequestFactory().post("/auth/login")
            request.client_certificate, request.session = None, SessionStore(None, "")
            request.session[SESSION_KEY] = str(user.pk)
            login.begin(request, user)

        first = Held(log_in_plainly)
        try:
            second = Thread(log_in_plainly)
            wait_until_blocked(1, "the second login", second)
        finally:
            first.let_go()
        second.result()
        assert Session.objects.for_user(user.pk).count() == 1


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

"""Where it may go, how much it may send, and when it stops."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from securecore_scan import limits
from securecore_scan.client.wire import Request, Wire
from securecore_scan.limits import BadTarget, Budget, Stopped, allowed
from securecore_scan.plan import Identities
from tests.scanner.conftest import scanned
from tests.scanner.service import Answer, serving


@contextmanager
def wire(url: str, *, requests: int = 100) -> Iterator[Wire]:
    opened = Wire(url, ca=None, identities=Identities(), budget=Budget(requests, 60.0))
    try:
        yield opened
    finally:
        opened.close()


def fine(method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
    return 200, {}, {}


class TestWhere:
    @pytest.mark.parametrize("url", ["https://localhost", "https://127.8.9.10:8443/x", "http://[::1]:80"])
    def test_loopback_is_allowed(self, url: str) -> None:
        assert allowed(url)

    @pytest.mark.parametrize(
        "url",
        [
            "https://api.example",
            "https://10.0.0.1",
            "https://localhost.example",
            "https://127.0.0.1.example",
            "https://localhost@api.example",
            "https://user:word@localhost",
            "ftp://localhost",
            "localhost:8443",
            "https://",
            "https://[::1",
            "https://localhost:99999",
        ],
    )
    def test_nothing_else_is(self, url: str) -> None:
        with pytest.raises(BadTarget):
            allowed(url)

    def test_another_host_is_when_it_was_named(self) -> None:
        assert allowed("https://api.example", frozenset({"api.example"}))
        with pytest.raises(BadTarget):
            allowed("https://other.example", frozenset({"api.example"}))

    def test_another_host_is_never_in_the_clear(self) -> None:
        with pytest.raises(BadTarget):
            allowed("http://api.example", frozenset({"api.example"}))

    def test_says_which_flag(self) -> None:
        run = scanned("https://api.example")
        assert run.code == 2
        assert "--allow-host api.example" in run.errors

    @pytest.mark.parametrize("behind", ["?token=a-secret", "#a-secret"])
    def test_nothing_stands_behind_the_path(self, behind: str) -> None:
        run = scanned(f"http://localhost:1/api{behind}")
        assert run.code == 2
        assert "a-secret" not in run.text + run.errors

    def test_no_redirect_is_followed(self) -> None:
        def away(method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
            return 307, {"Location": f"{there.url}/stolen"}, {}

        with serving(fine) as there, serving(away) as service, wire(service.url) as client:
            answer = client.send(Request("POST", "/login", (("Authorization", "Bearer x"),), b"{}"))
            assert answer.status_code == 307
            assert there.asked == []

    def test_a_plan_leads_nowhere_else(self, tmp_path: Path) -> None:
        plan = tmp_path / "plan.toml"
        plan.write_text('[session]\nread = "https://api.example/whoami"\nlogin = { path = "/login" }\n')
        with serving(fine) as service:
            run = scanned(service.url, "--plan", plan)
        assert run.code == 2
        assert "api.example" in run.errors


class TestHowMuch:
    def test_requests_are_counted(self) -> None:
        with serving(fine) as service, wire(service.url, requests=3) as client:
            for _ in range(3):
                client.send(Request("GET", "/"))
            with pytest.raises(Stopped, match="3 requests"):
                client.send(Request("GET", "/"))
            assert len(service.asked) == 3

    def test_copies_at_once_are_counted_too(self) -> None:
        with serving(fine) as service, wire(service.url, requests=4) as client:
            with pytest.raises(Stopped):
                client.at_once([Request("POST", "/", (), b"{}")] * 8)
            assert len(service.asked) <= 4

    def test_never_more_than_so_many_at_once(self) -> None:
        with wire("http://localhost:1") as client, pytest.raises(ValueError, match="16"):
            client.at_once([Request("GET", "/")] * 17)

    def test_time_ends(self) -> None:
        budget = Budget(10, 0.05)
        budget.spend()
        time.sleep(0.06)
        with pytest.raises(Stopped, match="seconds"):
            budget.spend()

    def test_what_would_not_fit_is_known_before(self) -> None:
        budget = Budget(100, 10.0, sent=10, _began=time.monotonic() - 1)
        assert budget.allows(50)
        assert not budget.allows(91)
        assert not Budget(1000, 10.0, sent=10, _began=time.monotonic() - 1).allows(91)


class TestWhenToStop:
    def test_after_a_burst_of_failures(self) -> None:
        budget = Budget(1000, 60)
        for _ in range(limits.BURST - 1):
            budget.note(503)
        budget.spend()
        budget.note(500)
        with pytest.raises(Stopped, match="5xx"):
            budget.spend()

    def test_not_after_failures_far_between(self) -> None:
        budget = Budget(1000, 60)
        for number in range(200):
            budget.note(500 if number % 3 == 0 else 200)
            budget.spend()

    def test_a_service_in_trouble_is_left_alone(self) -> None:
        def broken(method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
            return 500, {}, {}

        with serving(broken) as service:
            run = scanned(service.url)
        assert run.code == 3
        assert "5xx" in run.content["stopped"]
        assert len(service.asked) <= limits.WINDOW

    def test_nobody_there_is_incomplete(self) -> None:
        run = scanned("http://localhost:1")
        assert run.code == 3
        assert "nobody answers" in run.content["stopped"]

    def test_a_connection_that_fails_is_noted(self) -> None:
        with wire("http://localhost:1") as client:
            for _ in range(limits.UNREACHABLE):
                with pytest.raises(httpx.ConnectError):
                    client.send(Request("GET", "/"))
            with pytest.raises(Stopped, match="nobody answers"):
                client.send(Request("GET", "/"))

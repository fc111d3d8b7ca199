"""How many requests a scan sends, and when it stops early."""

from __future__ import annotations

import time

import httpx
import pytest

from securecore_scan.budget import BURST, UNREACHABLE, WINDOW, Budget, Stopped
from securecore_scan.client import races
from securecore_scan.client.races import Way
from securecore_scan.client.request import Request
from tests.scanner.conftest import open_transport, scanned
from tests.scanner.service import Answer, answer_200, serving


class TestCounting:
    def test_counting_requests_are_counted(self) -> None:
        with serving(answer_200) as service, open_transport(service.url, requests=3) as transport:
            for _ in range(3):
                transport.send(Request("GET", "/"))
            with pytest.raises(Stopped, match="3 requests"):
                transport.send(Request("GET", "/"))
            assert len(service.asked) == 3

    def test_counting_concurrent_copies_are_counted(self) -> None:
        with serving(answer_200) as service, open_transport(service.url, requests=4) as transport:
            with pytest.raises(Stopped):
                races.send(transport, [Request("POST", "/", (), b"{}")] * 8, Way.LAST_BYTE)
            assert len(service.asked) <= 4

    def test_counting_more_than_16_concurrent_requests_are_refused(self) -> None:
        with open_transport("http://localhost:1") as transport, pytest.raises(ValueError, match="16"):
            races.send(transport, [Request("GET", "/")] * 17, Way.LAST_BYTE)

    def test_counting_scan_stops_after_max_seconds(self) -> None:
        Budget(10, 60.0).spend()
        budget = Budget(10, 60.0, _began=time.monotonic() - 61)
        with pytest.raises(Stopped, match="seconds"):
            budget.spend()

    def test_counting_room_for_more_requests_is_estimated_from_those_so_far(self) -> None:
        budget = Budget(100, 10.0, sent=10, _began=time.monotonic() - 1)
        assert budget.has_room_for(20)
        assert not budget.has_room_for(91)
        assert not Budget(1000, 10.0, sent=10, _began=time.monotonic() - 1).has_room_for(91)


class TestStopping:
    def test_stopping_burst_of_5xx_stops_the_scan(self) -> None:
        budget = Budget(1000, 60)
        for _ in range(BURST - 1):
            budget.record_answer(503)
        budget.spend()
        budget.record_answer(500)
        with pytest.raises(Stopped, match="5xx"):
            budget.spend()

    def test_stopping_scattered_5xx_do_not_stop_the_scan(self) -> None:
        budget = Budget(1000, 60)
        for number in range(200):
            budget.record_answer(500 if number % 3 == 0 else 200)
            budget.spend()

    def test_stopping_race_counts_as_one_response(self) -> None:
        """Copies that lose to a unique constraint may be answered 500 by a service in good health."""
        budget = Budget(1000, 60)
        for _ in range(BURST):
            budget.record_race([201, *[500] * 15])
        budget.spend()
        for _ in range(BURST):
            budget.record_race([500] * 16)
        with pytest.raises(Stopped, match="5xx"):
            budget.spend()

    def test_stopping_failing_service_gets_few_requests(self) -> None:
        def broken(method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
            return 500, {}, {}

        with serving(broken) as service:
            run = scanned(service.url)
        assert run.code == 3
        assert "5xx" in run.content["stopped"]
        assert len(service.asked) <= WINDOW

    def test_stopping_scan_of_a_closed_port_is_incomplete(self) -> None:
        run = scanned("http://localhost:1")
        assert run.code == 3
        assert "no response from http://localhost:1" in run.content["stopped"]

    def test_stopping_failed_connections_in_a_row_stop_the_scan(self) -> None:
        with open_transport("http://localhost:1") as transport:
            for _ in range(UNREACHABLE):
                with pytest.raises(httpx.ConnectError):
                    transport.send(Request("GET", "/"))
            with pytest.raises(Stopped, match="does not answer"):
                transport.send(Request("GET", "/"))

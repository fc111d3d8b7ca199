"""A request is sent again where a repeat is harmless, with a new proof, and a limited number of times."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from email.utils import format_datetime
from typing import Any

import httpx
import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import ed25519

from securecore import clock
from securecore_client import MessageSignature, Retry, TimestampNonce, new_idempotency_key
from tests.client.conftest import Script

KEY = {"Idempotency-Key": '"one-of-many"'}
UNSAFE = ("POST", "PUT", "PATCH", "DELETE")
FAILED = (httpx.TransportError, requests.ConnectionError, ConnectionError)
Call = Callable[..., Any]


class TestSafe:
    @pytest.mark.parametrize("status", [425, 429, 502, 503, 504])
    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    def test_safe_a_passing_refusal_is_asked_again(self, call: Call, script: Script, method: str, status: int) -> None:
        script.answers = [(status, {})] * 2
        caller = call()
        assert caller.request(method, "/").status_code == 200
        assert len(script.received) == 3
        assert len(caller.waits) == 2

    def test_safe_a_lost_connection_is_asked_again(self, call: Call, script: Script) -> None:
        script.answers = [None, None]
        assert call().request("GET", "/").status_code == 200

    @pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422, 500])
    def test_safe_an_answer_is_an_answer(self, call: Call, script: Script, status: int) -> None:
        script.answers = [(status, {})]
        assert call().request("GET", "/").status_code == status


class TestUnsafe:
    @pytest.mark.parametrize("method", UNSAFE)
    @pytest.mark.parametrize("answer", [(503, {"Retry-After": "1"}), (502, {}), (429, {}), (409, {"Retry-After": "1"})])
    def test_unsafe_without_a_key_nothing_is_sent_twice(
        self, call: Call, script: Script, method: str, answer: Any
    ) -> None:
        script.answers = [answer]
        assert call(TimestampNonce()).request(method, "/").status_code == answer[0]
        assert len(script.received) == 1

    @pytest.mark.parametrize("method", UNSAFE)
    def test_unsafe_without_a_key_a_lost_answer_is_the_caller_s(self, call: Call, script: Script, method: str) -> None:
        script.answers = [None]
        with pytest.raises(FAILED):
            call(TimestampNonce()).request(method, "/")
        assert len(script.received) == 1

    @pytest.mark.parametrize("method", UNSAFE)
    @pytest.mark.parametrize("answer", [(503, {"Retry-After": "1"}), None, (409, {"Retry-After": "1"})])
    def test_unsafe_with_a_key_it_is_sent_again_with_the_same_key_and_a_new_proof(
        self, call: Call, script: Script, method: str, answer: Any
    ) -> None:
        script.answers = [answer, answer]
        signature = MessageSignature(ed25519.Ed25519PrivateKey.generate(), "k")
        response = call(TimestampNonce(), signature).request(method, "/", headers=KEY, content=b'{"a": 1}')
        assert response.status_code == 200
        assert [each.headers["idempotency-key"] for each in script.received] == [KEY["Idempotency-Key"]] * 3
        assert {each.body for each in script.received} == {b'{"a": 1}'}
        for name in ("x-request-nonce", "signature-input", "signature"):
            assert len({each.headers[name] for each in script.received}) == 3, name

    def test_unsafe_a_conflict_that_stays_is_an_answer(self, call: Call, script: Script) -> None:
        script.answers = [(409, {})]
        assert call().request("POST", "/", headers=KEY).status_code == 409
        assert len(script.received) == 1

    def test_unsafe_keys_are_made_where_the_service_is_said_to_honour_them(self, call: Call, script: Script) -> None:
        script.answers = [None]
        caller = call(idempotency_keys=True)
        assert caller.request("POST", "/").status_code == 200
        first, second = (each.headers["idempotency-key"] for each in script.received)
        assert first == second
        caller.request("POST", "/")
        assert script.received[2].headers["idempotency-key"] != first
        caller.request("POST", "/", headers=KEY)
        assert script.received[3].headers["idempotency-key"] == KEY["Idempotency-Key"]
        caller.request("GET", "/")
        assert "idempotency-key" not in script.received[4].headers


class TestBounds:
    def test_bounds_attempts_end(self, call: Call, script: Script) -> None:
        script.answers = [(503, {})] * 9
        assert call(retry={"attempts": 3}).request("GET", "/").status_code == 503
        assert len(script.received) == 3

    def test_bounds_the_last_failure_is_raised(self, call: Call, script: Script) -> None:
        script.answers = [None] * 9
        with pytest.raises(FAILED):
            call(retry={"attempts": 3}).request("GET", "/")
        assert len(script.received) == 3

    def test_bounds_retry_after_is_honoured(self, call: Call, script: Script) -> None:
        script.answers = [(503, {"Retry-After": "7"})]
        caller = call()
        caller.request("GET", "/")
        [wait] = caller.waits
        assert 7 <= wait <= 7.25

    def test_bounds_retry_after_may_be_a_date(self, call: Call, script: Script) -> None:
        date = format_datetime(clock.now() + dt.timedelta(seconds=9), usegmt=True)
        script.answers = [(503, {"Retry-After": date})]
        caller = call()
        caller.request("GET", "/")
        assert 5 < caller.waits[0] <= 9.25

    def test_bounds_who_asks_for_too_long_a_wait_gets_none(self, call: Call, script: Script) -> None:
        script.answers = [(503, {"Retry-After": "3600"})]
        caller = call()
        assert caller.request("GET", "/").status_code == 503
        assert caller.waits == []

    @pytest.mark.parametrize("junk", ["soon", "-1", "1.5", "٣", "Mon, 99 Foo 2026", ""])
    def test_bounds_a_retry_after_that_says_nothing_demands_nothing(self, junk: str) -> None:
        wait = Retry().wait(1, junk)
        assert wait is not None
        assert wait <= 3.25

    def test_bounds_the_wait_doubles_with_jitter(self) -> None:
        retry = Retry(attempts=9, backoff=1)
        for attempt, longest in ((1, 1), (2, 2), (3, 4), (7, 30)):
            waits = [retry.wait(attempt) or 0.0 for _ in range(300)]
            assert 0 <= min(waits) < longest / 4
            assert longest * 0.75 < max(waits) <= longest


def test_keys_are_structured_strings() -> None:
    first, second = new_idempotency_key(), new_idempotency_key()
    assert first != second
    assert first.startswith('"')
    assert first.endswith('"')

"""SIGKILL ends a worker at each point of a request under a key, and the client sends the request again."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator

import pytest
from django.db import connection

from tools.chaos.checker import effects_in
from tools.chaos.client import Answer, NoAnswer, send
from tools.chaos.place import Place, place

# The service's own database, of the same vendor as that of the run.
pytestmark = pytest.mark.database

PATIENCE = 30  # seconds until a retry must have its response


@pytest.fixture(scope="module")
def here() -> Iterator[Place]:
    with place(database=connection.vendor, workers=2) as running:
        yield running


@pytest.fixture
def key() -> str:
    return str(uuid.uuid4())


def post(here: Place, url: str, key: str, crash_at: str | None = None) -> Answer:
    headers = here.service.headers | {"Idempotency-Key": key} | ({"X-Crash-At": crash_at} if crash_at else {})
    return send(here.service.socket, "POST", url, body=json.dumps({"key": key}), headers=headers)


def crash(here: Place, url: str, key: str, point: str) -> None:
    with pytest.raises(NoAnswer):
        post(here, url, key, crash_at=point)


def retry(here: Place, url: str, key: str) -> Answer:
    """Send the request until a 2xx. Only a conflict or an absent worker is worth another try."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            answer = post(here, url, key)
        except NoAnswer:
            continue
        if answer.status < 300:
            return answer
        assert answer.status == 409, answer.body
        time.sleep(0.1)
    raise AssertionError("the retry had no answer")


def rows(here: Place, key: str) -> int:
    return sum(name == key for _, name in effects_in(here.database_url))


@pytest.mark.parametrize("url", ["/once", "/rest/once"])
class TestOneTransaction:
    @pytest.mark.parametrize(
        "point", ["before-claim", "after-claim", "after-effect", "before-store", "after-store", "before-commit"]
    )
    def test_one_transaction_crash_before_the_commit_leaves_nothing(
        self, here: Place, url: str, key: str, point: str
    ) -> None:
        crash(here, url, key, point)
        assert rows(here, key) == 0
        first, second = retry(here, url, key), retry(here, url, key)
        assert "idempotency-replayed" not in first.headers
        assert first.body == second.body
        assert rows(here, key) == 1

    def test_one_transaction_crash_after_the_commit_leaves_all(self, here: Place, url: str, key: str) -> None:
        crash(here, url, key, "after-commit")
        assert rows(here, key) == 1
        first, second = retry(here, url, key), retry(here, url, key)
        assert first.headers["idempotency-replayed"] == second.headers["idempotency-replayed"] == "true"
        assert first.body == second.body
        assert rows(here, key) == 1


class TestLease:
    """Effects at another service: at least once there, under one key."""

    @pytest.mark.parametrize(
        ("point", "attempts", "calls"),
        [
            ("before-claim", 1, 1),
            ("before-commit", 1, 1),
            ("after-commit", 2, 1),
            ("before-effect", 2, 1),
            ("after-effect", 2, 2),
            ("before-store", 2, 2),
            ("after-store", 1, 1),
        ],
    )
    def test_lease_crash_is_survived(self, here: Place, key: str, point: str, attempts: int, calls: int) -> None:
        crash(here, "/leased", key, point)
        told = json.loads(retry(here, "/leased", key).body)
        assert told["attempt"] == attempts
        assert rows(here, told["key"]) == calls

    def test_crash_keeps_twins_out_while_the_lease_lasts(self, here: Place, key: str) -> None:
        crash(here, "/long-leased", key, "after-effect")
        twin = post(here, "/long-leased", key)
        assert (twin.status, twin.headers["retry-after"]) == (409, "1")

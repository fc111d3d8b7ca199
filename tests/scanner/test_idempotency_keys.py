"""Stores of idempotency keys with the usual mistakes, and one without them."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.scanner.conftest import scanned
from tests.scanner.known.notes import Notes, Rejected
from tests.scanner.service import Answer, serving


class OneKeyForAll(Notes):
    """Stores a response under the key alone, after the effect: any body and any user gets it."""

    def write_note(self, headers: dict[str, str], query: Any, sent: dict[str, Any], _: str) -> Answer:
        user, key = self.caller(headers, query), headers.get("idempotency-key")
        if key is None:
            raise Rejected(400, "Idempotency-Key is needed")
        known = self.replays.get(("anybody", key))
        if known is not None:
            return known[1]
        threading.Event().wait(0.05)  # the effect takes its time
        answer = self.create(user, sent)
        self.replays["anybody", key] = (b"", answer)
        return answer


class Failing(Notes):
    """Answers a request with the header X-Fault by 503, and leaves nothing behind."""

    def write_note(self, headers: dict[str, str], query: Any, sent: dict[str, Any], _: str) -> Answer:
        if "x-fault" in headers:
            return self.fail(self.caller(headers, query), headers, sent)
        return super().write_note(headers, query, sent, _)

    def fail(self, user: dict[str, Any], headers: dict[str, str], sent: dict[str, Any]) -> Answer:
        return 503, {}, {}

    def claim(self, user: dict[str, Any], key: str, answer: Answer, sent: dict[str, Any]) -> None:
        self.replays[user["username"], key] = (json.dumps(sent).encode(), answer)


class Burnt(Failing):
    """Stores the failure as the response of the key."""

    def fail(self, user: dict[str, Any], headers: dict[str, str], sent: dict[str, Any]) -> Answer:
        answer: Answer = (500, {}, {})
        self.claim(user, headers["idempotency-key"], answer, sent)
        return answer


class Stuck(Failing):
    """Claims the key before the effect, and does not release it when the effect fails."""

    def fail(self, user: dict[str, Any], headers: dict[str, str], sent: dict[str, Any]) -> Answer:
        self.claim(user, headers["idempotency-key"], (409, {}, {}), sent)
        return 503, {}, {}


class Halfway(Failing):
    """Commits the effect, and then fails before the key is stored."""

    def fail(self, user: dict[str, Any], headers: dict[str, str], sent: dict[str, Any]) -> Answer:
        self.create(user, sent)
        return 500, {}, {}


class Forgotten(Failing):
    """Stores a success for the key, and rolls the effect back."""

    def fail(self, user: dict[str, Any], headers: dict[str, str], sent: dict[str, Any]) -> Answer:
        self.claim(user, headers["idempotency-key"], (201, {}, {"id": "none", "title": sent["title"]}), sent)
        return 500, {}, {}


class Silent(Failing):
    """Commits the effect, and never tells the client: the key stays claimed."""

    def fail(self, user: dict[str, Any], headers: dict[str, str], sent: dict[str, Any]) -> Answer:
        self.create(user, sent)
        self.claim(user, headers["idempotency-key"], (409, {}, {}), sent)
        return 500, {}, {}


class Cancelled(Notes):
    """Ends a request without a client any more, after its key was claimed, as a cancelled coroutine does."""

    def write_note(self, headers: dict[str, str], query: Any, sent: dict[str, Any], _: str) -> Answer:
        if headers.get("connection") != "close":
            return super().write_note(headers, query, sent, _)
        user, key = self.caller(headers, query), headers["idempotency-key"]
        self.replays[user["username"], key] = (json.dumps(sent).encode(), (409, {}, {}))
        return 499, {}, {}


@pytest.mark.parametrize(("service", "verdict"), [(OneKeyForAll, "FAIL"), (Notes, "PASS")], ids=["naive", "sound"])
def test_idempotency_store(service: type[Notes], verdict: str) -> None:
    with serving(service(weak=False).answer) as notes:
        found = scanned(notes.url, "--only", "SC-IDEM")
    decided = ("SC-IDEM-1", "SC-IDEM-2", "SC-IDEM-3", "SC-IDEM-5")
    assert found.verdicts == {**dict.fromkeys(decided, verdict), "SC-IDEM-4": "SKIPPED"}, found.text


@pytest.mark.parametrize(
    ("service", "verdict"),
    [(Failing, "PASS"), (Burnt, "FAIL"), (Stuck, "FAIL"), (Halfway, "FAIL"), (Forgotten, "FAIL"), (Silent, "FAIL")],
)
def test_key_after_a_failure(
    service: type[Notes], verdict: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("securecore_scan.client.effects.PATIENCE", 0.5)
    plan = tmp_path / "plan.toml"
    plan.write_text(
        """
        [[effect]]
        name = "note"
        request = { path = "/notes/v1", headers = { Idempotency-Key = "{key}", Authorization = "{authorization}" }, \
json = { title = "{canary}", text = "x" } }
        failing = { path = "/notes/v1", headers = { Idempotency-Key = "{key}", X-Fault = "503", \
Authorization = "{authorization}" }, json = { title = "{canary}", text = "x" } }
        count = { path = "/notes/v1", containing = "{canary}" }
        """
    )
    with serving(service(weak=False).answer) as notes:
        found = scanned(notes.url, "--plan", plan, "--only", "SC-IDEM-4")
    assert found.verdicts == {"SC-IDEM-4": verdict}, found.text


class Overloaded(Notes):
    """Answers each repetition of a request by 503."""

    def write_note(self, headers: dict[str, str], query: Any, sent: dict[str, Any], _: str) -> Answer:
        key = (self.caller(headers, query)["username"], headers["idempotency-key"])
        return (503, {}, {}) if key in self.replays else super().write_note(headers, query, sent, _)


def test_service_without_time_shows_nothing_of_its_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("securecore_scan.client.effects.PATIENCE", 0.5)
    with serving(Overloaded(weak=False).answer) as notes:
        found = scanned(notes.url, "--only", "SC-IDEM-5")
    assert found.verdicts == {"SC-IDEM-5": "INCONCLUSIVE"}, found.text


def test_key_after_a_cancelled_request_is_of_no_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("securecore_scan.client.effects.PATIENCE", 0.5)
    with serving(Cancelled(weak=False).answer) as notes:
        found = scanned(notes.url, "--only", "SC-IDEM-5")
    assert found.verdicts == {"SC-IDEM-5": "FAIL"}, found.text
    assert "the key is of no use any more" in found.text

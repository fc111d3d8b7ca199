"""The JSON log lines, and the check that events at INFO are not lost."""

from __future__ import annotations

import io
import json
import logging
import logging.config
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils.log import DEFAULT_LOGGING

from securecore import audit, json_logs, revocation
from securecore.checks.logs import w811_info_events
from securecore.grants import principal_of

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.http.urls")]


@pytest.fixture
def restored() -> Iterator[None]:
    """Restore the loggers that a test configures."""
    loggers = [logging.getLogger(name) for name in ("", "securecore", "django", "django.request", "django.server")]
    before = [(each, each.level, each.handlers[:], each.propagate, each.disabled) for each in loggers]
    yield
    for each, level, handlers, propagate, disabled in before:
        each.level, each.handlers, each.propagate, each.disabled = level, handlers, propagate, disabled
        each.manager._clear_cache()  # type: ignore[attr-defined]


@pytest.fixture
def lines(restored: None) -> list[dict[str, Any]]:
    """Configure the documented LOGGING, and return its lines at the end of the test, parsed."""
    stream = io.StringIO()
    configured = json.loads(json.dumps(json_logs.LOGGING))
    configured["handlers"]["stderr"]["stream"] = stream
    logging.config.dictConfig(configured)

    class Lines(list[dict[str, Any]]):
        def __iter__(self) -> Iterator[dict[str, Any]]:
            return iter([json.loads(line) for line in stream.getvalue().splitlines()])

    return Lines()


def test_refusal_has_the_reason_user_thumbprint_serial_and_request_id(
    lines: Any, mtls_client: Any, users: dict[str, User], certificate_for: Any
) -> None:
    client = mtls_client("alice", HTTP_X_REQUEST_ID="4f1c" * 8, HTTP_X_REAL_IP="192.0.2.7")
    response = client.get("/token-only", HTTP_AUTHORIZATION="Bearer x.y.z")
    assert (response.status_code, response.json()["request_id"]) == (401, "4f1c" * 8)
    [line] = [each for each in lines if each.get("event") == "securecore.http.request-refused"]
    assert line["actor"] == line["payload"]["user"] == principal_of(users["alice"])
    assert line["request_id"] == line["payload"]["request_id"] == "4f1c" * 8
    assert (line["address"], line["level"], line["logger"]) == ("192.0.2.7", "WARNING", "securecore")
    assert line["payload"]["code"] == "invalid-token"
    assert line["payload"]["reason"]
    assert line["payload"]["thumbprint"] == users["alice"].certificates.get().pk
    assert int(line["payload"]["serial"], 16) == int(users["alice"].certificates.get().serial_number, 16)


@pytest.mark.parametrize("value", ["short", "a b" * 9, "x" * 65, "ä" * 20, "4f1c\n" * 8])
def test_request_id_of_another_form_is_replaced(mtls_client: Any, value: str) -> None:
    response = mtls_client("alice", HTTP_X_REQUEST_ID=value).get("/token-only")
    assert len(response.json()["request_id"]) == 32
    assert response.json()["request_id"] != value


def test_request_id_of_a_stranger_is_replaced(client: Any) -> None:
    response = client.get("/token-only", REMOTE_ADDR="203.0.113.9", HTTP_X_REQUEST_ID="4f1c" * 8)
    assert response.json()["request_id"] != "4f1c" * 8


def test_change_is_a_line_at_info_with_its_actor(lines: Any, users: dict[str, User]) -> None:
    with audit.acting(audit.Actor(kind="command", name="root for alice", address="host-1")):
        revocation.revoke_user_tokens(users["bob"])
    [line] = lines
    assert (line["event"], line["level"]) == ("securecore.tokens.everything-revoked", "INFO")
    assert (line["actor"], line["address"]) == ("root for alice", "host-1")


def test_other_lines_have_the_request_too_and_exceptions_stay_one_line(lines: Any) -> None:
    with audit.acting(audit.Actor(kind="user", name="user:7", request_id="r" * 32)):
        try:
            raise ValueError("two\nlines")
        except ValueError:
            logging.getLogger("shop").exception("paying %s failed", "a\nb")
    [line] = lines
    assert (line["message"], line["request_id"], line["actor"]) == ("paying a\nb failed", "r" * 32, "user:7")
    assert "ValueError: two\nlines" in line["exception"]


def test_change_is_lost_under_django_s_default_and_the_check_says_so(restored: None, users: dict[str, User]) -> None:
    for name in ("", "securecore"):
        logging.getLogger(name).handlers, logging.getLogger(name).level = (
            [],
            logging.NOTSET if name else logging.WARNING,
        )
    logging.config.dictConfig(DEFAULT_LOGGING)
    logging.getLogger("securecore").manager._clear_cache()  # type: ignore[attr-defined]
    assert [found.id for found in w811_info_events()] == ["securecore.W811"]
    logging.config.dictConfig(json_logs.LOGGING)
    assert w811_info_events() == []

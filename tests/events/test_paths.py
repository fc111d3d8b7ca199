"""No live secret in a path reaches an event or a log, in any spelling."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from securecore.digests import new_secret
from securecore.testing import MutualTLSClient
from securecore.texts import shown, without_secrets
from tests.events.recorder import recorded
from tests.http.test_database_away import GONE, away
from tests.tokens.calls import given

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.http.urls")]

Clients = Callable[..., MutualTLSClient]


def percent(text: str) -> str:
    return "".join(f"%{byte:02x}" for byte in text.encode())


SPELLINGS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "upper case": str.upper,
    "lower case": str.lower,
    "escaped": percent,
    "escaped twice": lambda text: quote(percent(text)),
    "escaped three times": lambda text: quote(quote(percent(text))),
    "one letter escaped": lambda text: f"{text[:20]}%{ord(text[20]):02X}{text[21:]}",
}
PLACES = ["/{}", "/auth/sessions/{}", "/seen/{}/x", "/session;jsessionid={}", "/a/sid={};b", "/raises/{}", "/x{}x"]


@pytest.fixture
def secrets(mtls_client: Clients) -> dict[str, str]:
    client = mtls_client("alice")
    session = client.post("/auth/login").cookies["__Host-sessionid"].value
    tokens = given(client)
    return {"session": session, "access": tokens["access_token"], "refresh": tokens["refresh_token"]}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_no_log_holds_a_secret_of_a_path(
    mtls_client: Clients, secrets: dict[str, str], spelling: str, caplog: pytest.LogCaptureFixture
) -> None:
    client = mtls_client("alice", raise_request_exception=False)
    with recorded() as events, caplog.at_level(logging.DEBUG):
        for place in PLACES:
            for secret in secrets.values():
                path = place.format(SPELLINGS[spelling](secret))
                client.get(path)
                client.post(path, HTTP_ORIGIN="https://evil.example")
                client.get(path, HTTP_REFERER=f"https://testserver{path}", HTTP_X_SSL_CLIENT_CERT="x")
        with away(GONE[0]):
            client.get(PLACES[0].format(SPELLINGS[spelling](secrets["session"])))
    assert {event.name for event in events} >= {"securecore.http.request-refused", "securecore.http.database-away"}
    written = (repr(events) + "".join(map(told_by, caplog.records))).lower()
    for name, secret in secrets.items():
        for part in (secret, percent(secret), secret[-30:], percent(secret)[-90:]):
            assert part.lower() not in written, name


def told_by(record: logging.LogRecord) -> str:
    return record.getMessage() + repr(getattr(record, "payload", ""))


class TestWithoutSecrets:
    @pytest.mark.parametrize(
        "path",
        [
            "/",
            "/api/transfers",
            "/.well-known/oauth-authorization-server",
            "/auth/sessions/9f1b6c1e-8f0a-4a53-8a8f-0a6f7f5d2c11",
            "/accounts/1234567/transfers/42",
            "/caf\u00e9/a b",
            "InvalidSignature()",
            "X-Request-Timestamp is missing.",
        ],
    )
    def test_without_secrets_leaves_an_address_as_it_is(self, path: str) -> None:
        assert without_secrets(path) == path

    def test_without_secrets_takes_out_every_secret(self) -> None:
        for _ in range(2_000):
            secret = new_secret()
            for spelling in SPELLINGS.values():
                assert without_secrets(f"/a/{spelling(secret)}/b") == "/a/-/b"

    def test_without_secrets_is_bounded(self) -> None:
        assert len(without_secrets("/a" * 100_000)) < 300

    def test_without_secrets_is_no_slower_than_linear(self) -> None:
        """Only the kept part of the path is searched, so a long path costs no more."""
        assert without_secrets("%25" * 100_000)


CONTROLS = "\x1b[2J\x1b]0;x\x07\x9b31m\r\nforged\tline\x00\x7f\u202e\u2066\u200f\u2028\u0085"


class TestShown:
    def test_shown_escapes_all_that_moves_a_cursor_or_forges_a_line(self) -> None:
        assert shown(CONTROLS).isprintable()
        assert shown("\x1b[2J\u202e") == r"\x1b[2J\u202e"

    def test_shown_leaves_letters_of_every_script(self) -> None:
        for text in ("CN=alice,O=Caf\u00e9", "\u0645\u0631\u062d\u0628\u0627", "\u4f60\u597d", "a\\,b"):
            assert shown(text) == text

    def test_shown_takes_half_of_a_surrogate_pair(self) -> None:
        assert shown("\udcff") == r"\udcff"


def test_a_line_of_the_log_is_one_line(mtls_client: Clients, caplog: pytest.LogCaptureFixture) -> None:
    client: Any = mtls_client("alice", raise_request_exception=False)
    path = f"/auth/sessions/{quote(CONTROLS)}"
    for method in ("GET", f"G{CONTROLS}T"):
        client.generic(method, path, HTTP_ORIGIN="https://evil.example", HTTP_USER_AGENT=CONTROLS)
    assert caplog.records
    assert all(record.getMessage().isprintable() for record in caplog.records if record.name.startswith("securecore"))

"""Which hosts a scan may contact."""

from __future__ import annotations

from pathlib import Path

import pytest

from securecore_scan.client.request import Request
from securecore_scan.scope import BadTarget, check_url
from tests.scanner.conftest import open_transport, scanned
from tests.scanner.service import Answer, answer_200, serving


@pytest.mark.parametrize("url", ["https://localhost", "https://127.8.9.10:8443/x", "http://[::1]:80"])
def test_loopback_is_allowed(url: str) -> None:
    assert check_url(url)


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
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(BadTarget):
        check_url(url)


def test_named_host_is_allowed() -> None:
    assert check_url("https://api.example", frozenset({"api.example"}))
    with pytest.raises(BadTarget):
        check_url("https://other.example", frozenset({"api.example"}))


def test_named_host_needs_https() -> None:
    with pytest.raises(BadTarget):
        check_url("http://api.example", frozenset({"api.example"}))


def test_error_names_the_option_that_allows_the_host() -> None:
    run = scanned("https://api.example")
    assert run.code == 2
    assert "--allow-host api.example" in run.errors


@pytest.mark.parametrize("behind", ["?token=a-secret", "#a-secret"])
def test_url_with_query_or_fragment_is_refused_without_quoting_it(behind: str) -> None:
    run = scanned(f"http://localhost:1/api{behind}")
    assert run.code == 2
    assert "a-secret" not in run.text + run.errors


def test_redirects_are_not_followed() -> None:
    def redirect(method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        return 307, {"Location": f"{there.url}/stolen"}, {}

    with serving(answer_200) as there, serving(redirect) as service, open_transport(service.url) as transport:
        answer = transport.send(Request("POST", "/login", (("Authorization", "Bearer x"),), b"{}"))
        assert answer.status_code == 307
        assert there.asked == []


def test_plan_cannot_name_another_host(tmp_path: Path) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text('[session]\nread = "https://api.example/whoami"\nlogin = { path = "/login" }\n')
    with serving(answer_200) as service:
        run = scanned(service.url, "--plan", plan)
    assert run.code == 2
    assert "api.example" in run.errors

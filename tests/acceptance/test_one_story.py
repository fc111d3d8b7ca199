"""One request in the logs of nginx and the application, in the problem response and in the audit."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
from cryptography import x509

from demo_project.stack import Stack


def line_with(path: Path, text: str) -> str:
    """Return the line of a log with ``text``. nginx writes its log after it has sent the response."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for line in path.read_text(errors="replace").splitlines():
            if text in line:
                return line
        time.sleep(0.02)
    raise AssertionError(f"{path} has no line with {text}")


def test_refusal_is_found_in_both_logs_by_its_id_and_its_serial(
    stack: Stack, open_client: Callable[..., httpx.Client]
) -> None:
    response = open_client("bob").post(
        "/api/transfers",
        json={"to": "alice", "amount": 1, "memo": ""},
        headers={"X-Request-ID": "a" * 32, "User-Agent": 'curl/8 "quoted"'},
    )
    problem = response.json()
    assert (response.status_code, problem["code"]) == (400, "idempotency-key-missing")
    assert problem["request_id"] != "a" * 32
    edge = line_with(stack.var / "log" / "access.log", problem["request_id"])
    event: dict[str, Any] = json.loads(line_with(stack.var / "log" / "app.log", problem["request_id"]))
    certificate = x509.load_pem_x509_certificate((stack.pki / "bob.pem").read_bytes())
    assert f"serial={event['payload']['serial']} " in edge
    assert edge.rstrip().endswith('agent="curl/8 \\x22quoted\\x22"')
    assert int(event["payload"]["serial"], 16) == certificate.serial_number
    assert event["payload"]["user"] == event["actor"]
    assert event["payload"]["reason"]


def test_refusal_by_nginx_has_an_id_too(stack: Stack, open_client: Callable[..., httpx.Client]) -> None:
    problem = open_client("stranger").get("/api/whoami").json()
    assert problem["code"] == "certificate-refused"
    assert " 403 " in line_with(stack.var / "log" / "access.log", problem["request_id"])


def test_metrics_add_the_counts_of_all_workers(
    stack: Stack, open_client: Callable[..., httpx.Client], shell: Callable[..., str]
) -> None:
    """The demo has two workers, and a scrape had the counts of one at random."""
    shell("securecore_grants", "grant", "metrics.read", "--user", "carol", "--reason", "test")
    carol, bob = open_client("carol"), open_client("bob")

    def refused() -> float:
        name = 'securecore_requests_refused_total{code="timestamp-missing"} '
        found = [line for line in carol.get("/metrics").text.splitlines() if line.startswith(name)]
        return float(found[0].removeprefix(name)) if found else 0.0

    before = refused()
    assert {bob.post("/api/payouts", json={}).json()["code"] for _ in range(20)} == {"timestamp-missing"}
    assert {refused() for _ in range(10)} == {before + 20}


def test_login_is_found_in_the_audit_by_its_id(
    stack: Stack, open_client: Callable[..., httpx.Client], shell: Callable[..., str]
) -> None:
    assert open_client("carol").post("/auth/login", json={}).status_code == 200
    listed = shell(
        "securecore_audit", "list", "--event", "securecore.sessions.session-opened", "--limit", "1", "--json"
    )
    row = json.loads(listed)
    assert "/auth/login" in line_with(stack.var / "log" / "access.log", row["request_id"])
    assert (row["actor_kind"], row["actor"], row["address"]) == ("user", row["subject"].split()[0], "127.0.0.1")
    assert "faults" in shell("securecore_audit", "verify", "--json")

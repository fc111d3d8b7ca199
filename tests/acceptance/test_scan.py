"""The scanner against the demo: every attack works on the unprotected twin, and none on the protected routes.

SECURECORE_SCAN_RUNS=50 repeats both scans 50 times: a false alarm is a defect, and so is an attack that is missed once.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from demo_project.stack import Stack

ROOT = Path(__file__).resolve().parents[2]
RUNS = int(os.environ.get("SECURECORE_SCAN_RUNS", "1"))

#: The demo's applications listen on unix sockets that only nginx may open, so there is no port behind the proxy.
#: No route of the demo revokes a certificate, and no request of it fails at will.
SHARED = {**dict.fromkeys(("SC-HDR-3", "SC-TLS-7", "SC-IDEM-4"), "SKIPPED"), "SC-MASS-1": "NOT APPLICABLE"}
#: Whether the port offers a post-quantum group depends on the OpenSSL of nginx.
BY_THE_MACHINE = {"SC-TLS-6"}
#: The routes have no object of a single user to read by its id, and the tokens are signed with a private key.
PROTECTED = SHARED | dict.fromkeys(("SC-BOLA-1", "SC-BOLA-2", "SC-BOLA-3", "SC-MASS-2", "SC-FORGE-7"), "NOT APPLICABLE")
#: The port, which both share, resumes nothing and offers no early data. The twin ignores idempotency keys, so no key
#: shows the response of another user. It has no OpenAPI document, and lets administrators alone change permissions.
TWIN = SHARED | {
    **dict.fromkeys([f"SC-TLS-{number}" for number in range(1, 6)], "PASS"),
    **dict.fromkeys(("SC-REPLAY-4", "SC-IDEM-2", "SC-FORGE-7", "SC-BFLA-2"), "PASS"),
    **dict.fromkeys(("SC-BOLA-1", "SC-BOLA-2", "SC-BOLA-3", "SC-BFLA-1", "SC-MASS-2"), "SKIPPED"),
}

Scan = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def scan(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Scan:
    """`scan("/vulnerable", "--only", "SC-FIX")` scans a service of the demo with its plan."""
    folder = tmp_path_factory.mktemp("plans")

    def scan(prefix: str, *arguments: str) -> Any:
        source = ROOT / "demo_project" / prefix.strip("/") / "scan.toml"
        plan = folder / f"plan{prefix.strip('/')}.toml"
        text = source.read_text()
        for relative in ("../../var", "../var"):
            text = text.replace(f'"{relative}/', f'"{stack.var}/')
        plan.write_text(text)
        command = [sys.executable, "-m", "securecore_scan", f"{stack.url}{prefix}", "--ca", str(stack.pki / "ca.pem")]
        return subprocess.run(
            # A slow machine needs more than the default of 120 s; speed is not tested here.
            [*command, "--plan", str(plan), "--budget", "280s", *arguments],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT / "scanner")},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )

    return scan


def results(content: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for category in content["categories"]:
        yield from category["results"]


def unexpected(content: dict[str, Any], verdict: str, wanted: dict[str, str]) -> list[tuple[str, str, str, list[str]]]:
    """Return the results that differ from ``verdict``, or from the verdict that ``wanted`` names for a check."""
    return [
        (found["check"], found["subject"], found["verdict"], found["evidence"])
        for found in results(content)
        if found["check"] not in BY_THE_MACHINE and found["verdict"] != wanted.get(found["check"], verdict)
    ]


def assert_permission_restored(open_client: Callable[..., Any], prefix: str) -> None:
    """The scan revokes a permission of alice. After the scan, alice has the permission again."""
    order = {"to": "bob", "amount": 1, "memo": "after the scan"}
    key = {"Idempotency-Key": f"after-the-scan-{uuid.uuid4()}"}
    answer = open_client("alice", prefix).post("/api/transfers", json=order, headers=key)
    assert answer.status_code == 201, answer.text


@pytest.mark.parametrize("number", range(RUNS))
def test_every_attack_works_on_the_twin(scan: Scan, open_client: Callable[..., Any], number: int) -> None:
    done = scan("/vulnerable", "--format", "json")
    assert unexpected(json.loads(done.stdout), "FAIL", TWIN) == []
    assert done.returncode == 1, done.stderr
    assert_permission_restored(open_client, "/vulnerable")


@pytest.mark.parametrize("number", range(RUNS))
def test_no_attack_works_on_the_protected_routes(scan: Scan, open_client: Callable[..., Any], number: int) -> None:
    done = scan("", "--format", "json")
    assert unexpected(json.loads(done.stdout), "PASS", PROTECTED) == []
    assert json.loads(done.stdout)["grade"] == "A"
    assert done.returncode == 0, done.stderr
    assert_permission_restored(open_client, "")

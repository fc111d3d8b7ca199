"""SC-LEAK-1 against a port that reports the memory values of the test."""

from __future__ import annotations

import datetime as dt
import json
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

from demo_project import pki
from securecore_scan.client import memory
from securecore_scan.growth import STRETCH
from securecore_scan.probes import memory_leak
from tests.scanner.conftest import Scanned, scanned
from tests.scanner.test_tls_posture import Handler, listening

PLAN = """
[session]
read = "/whoami"
[memory]
url = "/memory"
ca_cert = "ca.pem"
ca_key = "ca.key"
"""


@pytest.fixture
def watch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Scanned]:
    """`watch(bytes_after)` scans a port that reports `bytes_after(visits)` bytes after so many visits."""
    for module, name in ((memory_leak, "WARM_UP"), (memory_leak, "VISITS"), (memory, "READINGS")):
        monkeypatch.setattr(module, name, 2)
    pki.prepare(tmp_path, now=dt.datetime.now(dt.UTC))
    (tmp_path / "plan.toml").write_text(PLAN)

    def watch(bytes_after: Callable[[int], int], *arguments: str) -> Scanned:
        visits = [0]

        class Remembering(Handler):
            def do_GET(self) -> None:
                visits[0] += self.path == "/whoami"
                content = json.dumps({"user": "alice", "rss_bytes": bytes_after(visits[0]), "process": 1}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tmp_path / "server.pem", tmp_path / "server.key")
        with listening(context, Remembering) as url:
            alice = ("--cert", tmp_path / "alice.pem", "--key", tmp_path / "alice.key", "--ca", tmp_path / "ca.pem")
            return scanned(url, *alice, "--plan", tmp_path / "plan.toml", "--only", "SC-LEAK", *arguments)

    return watch


def evidence(found: Scanned) -> str:
    return " ".join(found.results[0]["evidence"])


def leaps(visits: int) -> int:
    """Large and rare growth, neither flat nor steady."""
    return visits // 7 * 200_000


def test_steady_growth_fails(watch: Callable[..., Scanned]) -> None:
    found = watch(lambda visits: visits * 10_000)
    assert found.verdicts == {"SC-LEAK-1": "FAIL"}, found.text
    assert "grows by 10000 bytes" in evidence(found)
    assert "kept for each connection" in evidence(found)


def test_flat_memory_passes(watch: Callable[..., Scanned]) -> None:
    found = watch(lambda visits: min(visits, 20) * 10_000)
    assert found.verdicts == {"SC-LEAK-1": "PASS"}, found.text


def test_growth_in_leaps_is_inconclusive(watch: Callable[..., Scanned]) -> None:
    found = watch(leaps)
    assert found.verdicts == {"SC-LEAK-1": "INCONCLUSIVE"}, found.text
    assert found.code == 3
    half = memory_leak.STRETCHES * STRETCH * memory_leak.VISITS // 2
    assert f"each of the later {half}" in evidence(found)


def test_check_reports_before_the_budget_ends(watch: Callable[..., Scanned]) -> None:
    found = watch(leaps, "--max-requests", "200")
    assert found.verdicts == {"SC-LEAK-1": "INCONCLUSIVE"}, found.text
    assert found.content["stopped"] == ""
    assert "for each of" in evidence(found)

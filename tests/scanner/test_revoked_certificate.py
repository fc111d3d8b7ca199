"""A certificate is revoked while its TLS session can be resumed at a real nginx."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.scanner.conftest import scanned
from tests.scanner.edge import certificates, nginx
from tests.scanner.service import Answer, serving

PLAN = """
[identities]
admin = { cert = "carol.pem", key = "carol.key" }
[session]
read = "/whoami"
[revocation]
certificate = { cert = "bob.pem", key = "bob.key" }
revoke = { path = "/revoke", json = { serial = "{serial}" } }
"""
SETTINGS = ("ssl_verify_client on;", "ssl_session_cache shared:sessions:1m;")


class Service:
    """Refuses a revoked certificate: at every request, or at full handshakes only, as a server with a CRL does."""

    def __init__(self, *, at_every_request: bool) -> None:
        self.at_every_request = at_every_request
        self.revoked: set[str] = set()
        self.resumed = 0

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        if path == "/revoke":
            self.revoked.add(json.loads(body)["serial"])
            return 200, {}, {}
        is_resumed = headers.get("x-reused") == "r"
        self.resumed += is_resumed
        is_read = self.at_every_request or not is_resumed
        if is_read and headers.get("x-serial", "").lower().lstrip("0") in self.revoked:
            return 403, {}, {}
        return 200, {}, {"user": "somebody"}


@pytest.mark.parametrize(("at_every_request", "verdict"), [(False, "FAIL"), (True, "PASS")])
def test_resumed_session_of_a_revoked_certificate(tmp_path: Path, at_every_request: bool, verdict: str) -> None:
    (tmp_path / "plan.toml").write_text(PLAN)
    with (
        serving((judge := Service(at_every_request=at_every_request)).answer) as service,
        nginx(tmp_path, service.url, *SETTINGS) as url,
    ):
        run = scanned(url, *certificates(tmp_path), "--plan", tmp_path / "plan.toml", "--only", "SC-TLS-7")
    assert run.verdicts == {"SC-TLS-7": verdict}, run.text
    assert judge.resumed > 0

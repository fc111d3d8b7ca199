"""Known answers: the scanner finds the published weaknesses of other packages, and reports no others."""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Callable
from pathlib import Path

import pytest

from demo_project import pki
from tests.scanner.conftest import Peer, scanned
from tests.scanner.peers.credentials import PASSWORD, USERNAME

StartPeer = Callable[..., Peer]


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PEER_PASSWORD", PASSWORD)
    monkeypatch.setenv("PEER_BASIC", base64.b64encode(f"{USERNAME}:{PASSWORD}".encode()).decode())


def plan(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "plan.toml"
    path.write_text(text)
    return path


def test_simplejwt(start_peer: StartPeer, tmp_path: Path) -> None:
    """Concurrent requests redeem a refresh token twice (#985); access tokens cannot be revoked (#305, #744)."""
    written = plan(
        tmp_path,
        """
        [tokens]
        request = { path = "/api/token", json = { username = "alice", password = "{env:PEER_PASSWORD}" } }
        dpop = false
        """,
    )
    found = scanned(start_peer("simplejwt").url, "--plan", written, "--only", "SC-TOKEN", "--only", "SC-REFRESH")
    assert found.code == 1, found.errors
    failed = {check for check, verdict in found.verdicts.items() if verdict == "FAIL"}
    assert failed >= {"SC-REFRESH-2", "SC-TOKEN-1", "SC-TOKEN-2"}, found.text
    # Tokens have a jti and live five minutes; replaced tokens are blacklisted; tokens in URLs are ignored.
    passed = {check for check, verdict in found.verdicts.items() if verdict == "PASS"}
    assert passed >= {"SC-REFRESH-1", "SC-TOKEN-5", "SC-TOKEN-6", "SC-TOKEN-7"}, found.text
    assert PASSWORD not in found.text


def test_drf_idem(start_peer: StartPeer, tmp_path: Path) -> None:
    """The view runs before the key is claimed: one response, and as many effects as requests."""
    written = plan(
        tmp_path,
        """
        [[effect]]
        name = "payment"
        [effect.request]
        path = "/payments"
        headers = { X-Request-ID = "{key}" }
        json = { memo = "{canary}" }
        [effect.count]
        path = "/payments?memo={canary}"
        """,
    )
    found = scanned(start_peer("idempotent").url, "--plan", written, "--only", "SC-REPLAY")
    assert (found.verdicts["SC-REPLAY-1"], found.verdicts["SC-REPLAY-2"]) == ("FAIL", "FAIL"), found.text


def test_knox(start_peer: StartPeer, tmp_path: Path) -> None:
    """The limit of tokens is a COUNT followed by an INSERT (#391)."""
    written = plan(
        tmp_path,
        """
        [limit]
        prepare = { path = "/reset" }
        use = { path = "/login", headers = { Authorization = "Basic {env:PEER_BASIC}" } }
        allowed = 3
        """,
    )
    found = scanned(start_peer("knox_limit").url, "--plan", written, "--only", "SC-LIMIT")
    assert found.verdicts == {"SC-LIMIT-1": "FAIL"}, found.text


def test_django_sessions(start_peer: StartPeer, tmp_path: Path) -> None:
    """A second login of the same user keeps the session id. The other attacks without certificates fail."""
    written = plan(
        tmp_path,
        """
        [session]
        login = { path = "/login", json = { username = "alice", password = "{env:PEER_PASSWORD}" } }
        """,
    )
    found = scanned(start_peer("django_session").url, "--plan", written, "--only", "SC-FIX")
    assert found.verdicts == {
        "SC-FIX-1": "PASS",
        "SC-FIX-2": "PASS",
        "SC-FIX-3": "PASS",
        "SC-FIX-4": "FAIL",
        "SC-FIX-5": "SKIPPED",
        "SC-FIX-6": "PASS",
        "SC-FIX-7": "NOT APPLICABLE",
    }, found.text


class TestACacheOfClients:
    """The same cache with and without a bound."""

    @pytest.mark.parametrize(("bound", "verdict"), [("0", "FAIL"), ("64", "PASS")], ids=["unbounded", "bounded"])
    def test_a_cache_of_clients_only_the_unbounded_cache_fails(
        self, start_peer: StartPeer, tmp_path: Path, bound: str, verdict: str
    ) -> None:
        peer = self.start(start_peer, tmp_path, PEER_BOUND=bound)
        arguments = self.arguments(tmp_path, f"[memory]\npid = {peer.pid}\nca_cert = 'ca.pem'\nca_key = 'ca.key'")
        found = scanned(peer.url, *arguments, "--only", "SC-LEAK")
        assert found.verdicts == {"SC-LEAK-1": verdict}, found.text

    def test_a_cache_of_clients_forged_header_is_believed_past_the_proxy(
        self, start_peer: StartPeer, tmp_path: Path
    ) -> None:
        edge, behind = self.start(start_peer, tmp_path), start_peer("remembering")
        arguments = self.arguments(tmp_path, f"application = '{behind.url}'\n[session]\nread = '/'")
        found = scanned(edge.url, *arguments, "--only", "SC-HDR")
        assert found.verdicts == {"SC-HDR-1": "PASS", "SC-HDR-2": "PASS", "SC-HDR-3": "FAIL"}, found.text

    def start(self, start_peer: StartPeer, folder: Path, **environ: str) -> Peer:
        pki.prepare(folder, now=dt.datetime.now(dt.UTC))
        files = {"certfile": "server.pem", "keyfile": "server.key", "ca-certs": "ca.pem"}
        options = [f"--{name}={folder / file}" for name, file in files.items()]
        return start_peer("remembering", *options, "--cert-reqs=2", scheme="https", **environ)

    def arguments(self, folder: Path, text: str) -> list[str | Path]:
        pair = [f"--{prefix}cert={folder / name}.pem" for prefix, name in (("", "alice"), ("second-", "bob"))]
        keys = [f"--{prefix}key={folder / name}.key" for prefix, name in (("", "alice"), ("second-", "bob"))]
        return [*pair, *keys, "--ca", folder / "ca.pem", "--plan", plan(folder, text)]

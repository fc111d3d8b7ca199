from __future__ import annotations

import grp
import os
import pwd
import shutil
from collections.abc import Callable

import pytest

from demo_project.stack import nginx_binary
from tests.acceptance.proxies.contract import Contract, issued
from tests.acceptance.proxies.edge import SECRET, Edge
from tests.support.tree import ROOT


def start(edge: Edge, **replaced: str) -> Edge:
    """Start nginx with the shipped configuration; ``replaced`` names lines of tls.conf and their replacements."""
    folder = edge.folder / "nginx"
    shutil.copytree(ROOT / "securecore/installation/nginx", folder)
    shutil.copy(ROOT / "demo_project/site.conf", folder)
    (folder / "listen.conf").write_text(f"listen 127.0.0.1:{edge.port} ssl default_server;\n")
    # The configuration names neighbouring files relative to its own folder and to the working directory.
    (edge.folder / "pki").symlink_to(edge.ground.pki)
    (edge.ground.var / "log").mkdir(exist_ok=True)
    tls = (folder / "tls.conf").read_text()
    for old, new in replaced.items():
        assert old in tls
        tls = tls.replace(old, new)
    (folder / "tls.conf").write_text(tls)
    edge.start_service()
    # nginx's workers normally give up root. Here they must reach a socket that only its owner may open.
    user = f" user {pwd.getpwuid(0).pw_name} {grp.getgrgid(0).gr_name};" if os.geteuid() == 0 else ""
    options = ["-e", "stderr", "-p", ".", "-c", "nginx/nginx.conf", "-g", f"daemon off;{user}"]
    edge.start_proxy(str(nginx_binary()), *options)
    return edge


class TestNginx(Contract):
    source = "nginx"

    @pytest.fixture(scope="module")
    @staticmethod
    def edge(open_edge: Callable[..., Edge]) -> Edge:
        return start(open_edge("nginx"))

    def test_nginx_underscores_end_at_gunicorn(self, edge: Edge) -> None:
        """nginx drops such names itself. Behind a trusted proxy that forwards them, they must not reach the
        application.
        """
        proof, good = ("X-Proxy-Auth", SECRET), issued(edge, "alice").escaped
        for verify, certificate in (
            ("X-SSL-Client-Verify", "X-SSL-Client-Cert"),
            ("X_SSL_Client_Verify", "X_SSL_Client_Cert"),
        ):
            answer = edge.ask_directly([proof, (verify, "SUCCESS"), (certificate, good)])
            assert answer.body["user"] == ("alice" if "-" in verify else None)

    @pytest.mark.parametrize(("size", "by_us"), [(17_000, True), (30_000, True), (40_000, False)])
    def test_nginx_oversized_header_is_431(self, edge: Edge, size: int, by_us: bool) -> None:
        """The application refuses it, with its own code and event, since gunicorn's bound is above securecore's."""
        answer = edge.ask_directly(
            [("X-Proxy-Auth", SECRET), ("X-SSL-Client-Verify", "SUCCESS"), ("X-SSL-Client-Cert", "%0A" * (size // 3))]
        )
        assert answer.status == 431 if by_us else answer.status in (400, 431)
        assert (answer.body.get("code") == "certificate-too-large") is by_us
        # nginx refuses a line of this length from a client.
        assert edge.ask("alice", [("X-SSL-Client-Cert", "%0A" * (size // 3))]).status == 400


class TestNginxThatResumes:
    """A shared session cache is a known trap: nginx accepts a session for hours. securecore's revocation list still
    holds.
    """

    resumes = True
    test_revoked_by_us_is_refused_at_once = Contract.test_revoked_by_us_is_refused_at_once

    @pytest.fixture(scope="module")
    @staticmethod
    def edge(open_edge: Callable[..., Edge]) -> Edge:
        edge = open_edge("nginx", "nginx-that-resumes")
        return start(edge, **{"ssl_session_cache off": "ssl_session_cache shared:tls:1m"})

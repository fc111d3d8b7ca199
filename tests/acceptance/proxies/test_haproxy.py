from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.acceptance.proxies.contract import Contract
from tests.acceptance.proxies.edge import Edge, program


class TestHAProxy(Contract):
    source = "haproxy"

    @pytest.fixture(scope="module")
    @staticmethod
    def edge(open_edge: Callable[..., Edge]) -> Edge:
        program("haproxy")
        edge = open_edge("haproxy")
        edge.configure("haproxy.cfg")
        pair = [(edge.ground.pki / name).read_bytes() for name in ("server.pem", "server.key")]
        (edge.ground.pki / "server-and-key.pem").write_bytes(b"".join(pair))
        edge.start_service()
        edge.start_proxy("haproxy", "-db", "-f", "haproxy.cfg")
        return edge

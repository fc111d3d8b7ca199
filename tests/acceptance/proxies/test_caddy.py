from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.acceptance.proxies.contract import Contract
from tests.acceptance.proxies.edge import Edge, program


class TestCaddy(Contract):
    source = "caddy"
    reads_crl = False

    @pytest.fixture(scope="module")
    @staticmethod
    def edge(open_edge: Callable[..., Edge]) -> Edge:
        program("caddy")
        edge = open_edge("caddy")
        edge.configure("Caddyfile")
        # Caddy keeps data in the home directory.
        edge.environment |= {"HOME": str(edge.folder), "XDG_DATA_HOME": str(edge.folder)}
        edge.start_service()
        edge.start_proxy("caddy", "run", "--config", "Caddyfile", "--adapter", "caddyfile")
        return edge

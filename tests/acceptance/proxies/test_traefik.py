from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.acceptance.proxies.contract import Contract
from tests.acceptance.proxies.edge import Edge, program


class TestTraefik(Contract):
    source = "traefik"
    reads_crl = False
    resumes = True
    is_over_tcp = True

    @pytest.fixture(scope="module")
    @staticmethod
    def edge(open_edge: Callable[..., Edge]) -> Edge:
        program("traefik")
        edge = open_edge("traefik")
        edge.configure("traefik.yml", "traefik-routes.yml")
        edge.start_service("--forwarded-allow-ips", "127.0.0.1")
        edge.start_proxy("traefik", "--configFile=traefik.yml")
        return edge

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.acceptance.proxies.contract import Contract
from tests.acceptance.proxies.edge import Edge, program


class TestEnvoy(Contract):
    source = "envoy"

    @pytest.fixture(scope="module")
    @staticmethod
    def edge(open_edge: Callable[..., Edge]) -> Edge:
        program("envoy")
        edge = open_edge("envoy")
        edge.configure("envoy.yaml")
        edge.start_service()
        options = ["--disable-hot-restart", "--concurrency", "1", "--log-level", "warning"]
        edge.start_proxy("envoy", "-c", "envoy.yaml", *options)
        return edge

"""gunicorn ends TLS itself: without a proxy no header can name a certificate."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.acceptance.proxies.contract import Contract
from tests.acceptance.proxies.edge import Edge


class TestGunicorn(Contract):
    source = "gunicorn"
    # Without a proxy there is no way past it.
    test_direct_way_over_tcp_is_nobody = None  # type: ignore[assignment]
    test_scheme_is_the_proxy_s_word = None  # type: ignore[assignment]
    test_direct_way_over_the_socket_is_closed = None  # type: ignore[assignment]

    @pytest.fixture(scope="module")
    @staticmethod
    def edge(open_edge: Callable[..., Edge]) -> Edge:
        edge = open_edge("gunicorn")
        edge.configure("gunicorn.conf.py")
        edge.start_gunicorn_alone()
        return edge

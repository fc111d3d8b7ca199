"""A client that comes through nginx under every setting, for tests of proxies that are not trusted."""

from __future__ import annotations

from typing import Any

from securecore.testing import Issued, MutualTLSClient


def _forwarded(issued: Issued | None) -> dict[str, Any]:
    nobody = {"REMOTE_ADDR": "", "HTTP_X_SSL_CLIENT_VERIFY": "NONE", "HTTP_X_SSL_CLIENT_CERT": ""}
    return issued.environ if issued else nobody


class NginxClient(MutualTLSClient):
    """Django's test client as nginx would forward it over a unix socket."""

    forwarded = staticmethod(_forwarded)

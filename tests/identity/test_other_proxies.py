"""Recorded headers of other proxies give no identity, since each proxy spells the certificate in its own way."""

from __future__ import annotations

from typing import Any

import pytest

from tests.identity.test_proxy import IDENTITY_HEADERS, TCP, refusal_of
from tests.support import vectors
from tests.support.nginx import NginxClient

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.http.urls")]


def recorded_fronts() -> list[Any]:
    """Return every recording, of honest clients and of attackers, except nginx's recording of an honest client."""
    fronts = vectors.load("front_headers.json")["fronts"]
    return [
        pytest.param(answer["headers"], id=f"{front}, {case}")
        for front, cases in fronts.items()
        for case, answer in cases.items()
        if isinstance(answer["headers"], list) and (front, case) != ("nginx", "client-a")
    ]


@pytest.mark.parametrize("headers", recorded_fronts())
@pytest.mark.parametrize("peer", [{"REMOTE_ADDR": ""}, TCP], ids=["unix socket", "TCP"])
def test_never_give_an_identity(headers: list[tuple[str, str]], peer: dict[str, str]) -> None:
    client = NginxClient()
    meta: dict[str, str] = {}
    for name, value in headers:
        key = "HTTP_" + name.upper().replace("-", "_")
        meta[key] = f"{meta[key]},{value}" if key in meta else value
    client.defaults = meta | peer
    answer = client.get("/seen")
    if answer.status_code == 200:
        assert answer.json()["thumbprint"] is None
        assert not set(answer.json()["meta"]) & set(IDENTITY_HEADERS)
    else:
        assert refusal_of(answer)[1] in ("certificate-malformed", "certificate-not-verified")

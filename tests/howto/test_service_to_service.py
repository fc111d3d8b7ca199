"""The page about several services: a service that calls another is a client with grants of its own."""

from __future__ import annotations

import re
from typing import Any

import pytest

from securecore.grants import principals
from securecore.http.permissions import authorize
from securecore.testing import Authority, MutualTLSClient
from tests.support.tree import ROOT

_PAGE = (ROOT / "docs" / "howto" / "several-services.md").read_text()
_FORM = "application/x-www-form-urlencoded"


@pytest.mark.django_db
@pytest.mark.urls("tests.http.urls")
def test_service_that_calls_another(certificate_authority: Authority, enrolled_user: Any) -> None:
    [block] = re.findall(r"^```python\n(.*?)^```", _PAGE, re.S | re.M)
    exec(block, {"shop": enrolled_user("shop")})
    with authorize(principals.service("shop"), "transfers.create"):
        pass
    by_name = MutualTLSClient(certificate_authority.issue("any", dns_names=["shop.internal"]))
    response = by_name.post("/oauth/token", "grant_type=client_credentials&client_id=shop", content_type=_FORM)
    assert response.status_code == 200, response.content
    token = response.json()["access_token"]
    introspected = by_name.post("/oauth/introspect", f"token={token}&client_id=shop", content_type=_FORM)
    assert introspected.json()["active"] is True
    assert "x5t#S256" in introspected.json()["cnf"]

"""The response to a request that lost its database session while it held the gate."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User

from securecore import clock, grants
from securecore.testing import MutualTLSClient
from tests.races.waiting_urls import MAKE
from tests.support.views import effects

pytestmark = [
    pytest.mark.one_process,
    pytest.mark.django_db(transaction=True),
    pytest.mark.urls("tests.races.waiting_urls"),
]


@pytest.mark.parametrize("url", ["/function", "/granted", "/by-hand", "/keyed", "/late"])
@pytest.mark.parametrize("how", ["ended", "idle"])
def test_the_client_of_an_ended_session_gets_503(
    mtls_client: Any, monkeypatch: pytest.MonkeyPatch, url: str, how: str
) -> None:
    client: MutualTLSClient = mtls_client("alice", raise_request_exception=False)
    principal = grants.principal_of(User.objects.get(username="alice"))
    grants.grant(principal=principal, permission=MAKE, now=clock.now())
    if how == "idle":
        monkeypatch.setattr("securecore.grants.gate.transaction.IDLE_TIMEOUT", 0.2)
    answer = client.post(f"{url}?how={how}", headers={"Idempotency-Key": "one"})
    assert (answer.status_code, answer.get("Retry-After")) == (503, "1"), answer.content
    assert effects() == 0
    again = client.post(url, headers={"Idempotency-Key": "one"})
    assert (again.status_code, effects()) == (201, 1)

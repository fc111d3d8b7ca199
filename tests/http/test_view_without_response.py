"""A view that returns no response is named, as Django names it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.http import HttpRequest
from django.urls import path

from securecore.errors import Misuse
from securecore.http.decorators import idempotent, requires
from securecore.testing import MutualTLSClient


def forgetful(request: HttpRequest) -> None:
    """Return no response."""


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("decorator", [requires("things.make"), idempotent])
def test_view_that_returns_none_is_named(
    settings: Any, mtls_client: Callable[..., MutualTLSClient], decorator: Callable[[Any], Any]
) -> None:
    settings.ROOT_URLCONF = (path("", decorator(forgetful)),)
    client = mtls_client("alice", permissions=["things.make"])
    with pytest.raises(Misuse, match=r"test_view_without_response\.forgetful returned None"):
        client.post("/", headers={"Idempotency-Key": "1"})

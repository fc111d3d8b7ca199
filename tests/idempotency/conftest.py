from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.idempotency.views import Gate

Post = Callable[..., Any]


@pytest.fixture
def post(mtls_client: Any) -> Post:
    """`post(url, body, key=, name=)` posts JSON as that user, under that key."""

    def post(url: str, body: Any = None, *, key: str | None = "k-1", name: str | None = "alice") -> Any:
        client = mtls_client(name, raise_request_exception=False)
        headers = {} if key is None else {"Idempotency-Key": key}
        return client.post(url, data=json.dumps(body or {}), content_type="application/json", headers=headers)

    return post


@pytest.fixture
def gate() -> Iterator[type[Gate]]:
    """The results of the checks in `tests.idempotency.views`: allowed, unless the test changes them."""
    yield Gate
    Gate.permitted = Gate.throttled_after = True


@pytest.fixture
def middleware(settings: Any) -> None:
    """Add ``IdempotencyMiddleware``, last but one."""
    name = "securecore.http.idempotency.middleware.IdempotencyMiddleware"
    settings.MIDDLEWARE = [*settings.MIDDLEWARE[:-1], name, settings.MIDDLEWARE[-1]]

"""Fixtures for pytest-django: ``pytest_plugins = ["securecore.testing.fixtures"]`` in the conftest.py of a project."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from securecore import testing
from securecore.testing import Authority, FakeClock, MutualTLSAPIClient, MutualTLSClient


@pytest.fixture(scope="session")
def certificate_authority() -> Authority:
    """The authority of the test certificates: ``certificate_authority.certificate_for("alice")``."""
    return Authority()


@pytest.fixture
def enrolled_user(db: None, certificate_authority: Authority) -> Callable[..., Any]:
    """``enrolled_user("alice", permissions=["transfers.create"])`` returns a user with an enrolled certificate."""

    def enrolled(user: Any = "alice", *, permissions: Iterable[str] = (), **fields: Any) -> Any:
        issued = certificate_authority.certificate_for(user if isinstance(user, str) else user.get_username())
        return testing.enrolled_user(user, issued, permissions=permissions, **fields)

    return enrolled


@pytest.fixture
def mtls_client(certificate_authority: Authority, enrolled_user: Callable[..., Any]) -> Callable[..., MutualTLSClient]:
    """``mtls_client("alice")`` returns Django's test client with her certificate, ``mtls_client(None)`` without one."""
    return _clients(MutualTLSClient, certificate_authority, enrolled_user)


@pytest.fixture
def mtls_api_client(
    certificate_authority: Authority, enrolled_user: Callable[..., Any]
) -> Callable[..., MutualTLSAPIClient]:
    """``mtls_api_client("alice")`` returns REST framework's test client with her certificate."""
    return _clients(MutualTLSAPIClient, certificate_authority, enrolled_user)


@pytest.fixture
def fake_clock() -> Iterator[FakeClock]:
    """securecore's clock for this test, which moves by ``fake_clock.advance(minutes=5)`` only."""
    with FakeClock() as clock:
        yield clock


def _clients(kind: Any, authority: Authority, enrolled_user: Callable[..., Any]) -> Callable[..., Any]:
    def client(user: Any = "alice", *, permissions: Iterable[str] = (), **defaults: Any) -> Any:
        if user is None:
            return kind(**defaults)
        name = enrolled_user(user, permissions=permissions).get_username()
        return kind(authority.certificate_for(name), **defaults)

    return client

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.contrib.auth.models import User

from securecore import clock
from securecore.identity import parse_pem
from securecore.testing import Issued, MutualTLSClient
from securecore.tokens import Client


@pytest.fixture
def client(mtls_client: Callable[..., MutualTLSClient]) -> MutualTLSClient:
    return mtls_client("alice")


@pytest.fixture
def thumbprint(certificate_for: Callable[[str], Issued]) -> str:
    """The thumbprint of Alice's certificate."""
    return parse_pem(certificate_for("alice").pem).thumbprint


@pytest.fixture
def configure(settings: Any) -> Callable[..., None]:
    """`configure(DPOP_NONCE_REQUIRED=True)` changes options of SECURECORE until the test ends."""

    def configure(**options: Any) -> None:
        settings.SECURECORE = {**settings.SECURECORE, **options}

    return configure


@pytest.fixture
def encryption_key(configure: Callable[..., None]) -> str:
    """The first of ENCRYPTION_KEYS."""
    key = Fernet.generate_key().decode()
    configure(ENCRYPTION_KEYS=[key])
    return key


@pytest.fixture
def register(enrolled: Callable[[str], User]) -> Callable[..., Client]:
    """`register("payments", user="alice", scope="pay")` registers a client."""

    def register(client_id: str = "payments", *, user: str = "alice", **fields: Any) -> Client:
        return Client.objects.create(client_id=client_id, user=enrolled(user), created_at=clock.now(), **fields)

    return register

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from django.contrib.auth.models import User

from securecore import clock, leases, tokens
from securecore.caches import BoundedCache
from securecore.caller import leased_snapshots
from securecore.identity import parse_pem
from securecore.testing import Authority, MutualTLSClient
from securecore.tokens import AccessToken
from tests.caller.stage import KEY, Stage


@dataclass(frozen=True)
class Caller:
    """Alice, who has a certificate, a session, and a token of a family bound to the certificate."""

    client: MutualTLSClient
    user: User
    thumbprint: str
    token: AccessToken
    headers: dict[str, Any]

    def get(self, path: str, **headers: Any) -> Any:
        takes_no_token = path in ("/certificate", "/session", "/writes")
        return self.client.get(path, **(headers if takes_no_token else self.headers | headers))

    def get_with_a_token_of(self, client_id: str) -> Any:
        """Send a request as another service with a token of the same user, which is another caller."""
        encoded, _ = tokens.issue(
            subject=str(self.user.pk), client_id=client_id, binding=f"x5t#S256:{self.thumbprint}", now=clock.now()
        )
        return self.get("/token", HTTP_AUTHORIZATION=f"Bearer {encoded}")


@pytest.fixture
def own_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drop the leases of this test at its end: the rows of its certificates are gone then."""
    held: Any = BoundedCache(size=64, seconds=leases.seconds, clock=leases.clock)
    monkeypatch.setattr(leased_snapshots, "_leased", held)


@pytest.fixture
def caller(mtls_client: Callable[..., MutualTLSClient], certificate_for: Any) -> Caller:
    client = mtls_client("alice")
    client.post("/auth/login")
    user = User.objects.get(username="alice")
    thumbprint = parse_pem(certificate_for("alice").pem).thumbprint
    binding, now = f"x5t#S256:{thumbprint}", clock.now()
    family, _ = tokens.refresh.start(
        user_id=user.pk, client_id="payments", binding=binding, certificate=thumbprint, scope="", rotates=True, now=now
    )
    encoded, token = tokens.issue(
        subject=str(user.pk), client_id="payments", binding=binding, family_id=family.pk, now=now
    )
    return Caller(client, user, thumbprint, token, {"HTTP_AUTHORIZATION": f"Bearer {encoded}"})


@pytest.fixture
def stage(
    ca: Authority, transactional_db: None, enrolled: Callable[[str], User], settings: Any, monkeypatch: Any
) -> Stage:
    """Enrol the certificates of alice, bob and carol, and leave that of "nobody" without an enrolment."""
    settings.SIMPLE_JWT = {"SIGNING_KEY": KEY}
    return Stage(ca, {name: enrolled(name) for name in ("alice", "bob", "carol")})

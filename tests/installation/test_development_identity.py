"""The identity for `manage.py runserver`: judged like each certificate, for this machine, and never without DEBUG."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import Client

from securecore.identity import parse_pem
from securecore.revocation import revoke_certificate
from securecore.settings import DEVELOPMENT_CERTIFICATE, middleware
from securecore.testing import Authority, Issued
from tests.checks.findings import found


@pytest.fixture
def alice(tmp_path: Path, monkeypatch: Any, certificate_authority: Authority, enrolled_user: Any) -> Issued:
    """The certificate of alice, enrolled, in the environment variable."""
    issued = certificate_authority.certificate_for("alice")
    enrolled_user("alice")
    (tmp_path / "alice.pem").write_text(issued.pem)
    (tmp_path / "alice.key").write_text(issued.key_pem)
    monkeypatch.setenv(DEVELOPMENT_CERTIFICATE, str(tmp_path / "alice.pem"))
    return issued


@pytest.fixture
def in_development(settings: Any, monkeypatch: Any) -> None:
    """The settings of a project that was started with the variable; whether it is still set is another fixture's."""
    settings.DEBUG = True
    with monkeypatch.context() as at_start:
        at_start.setenv(DEVELOPMENT_CERTIFICATE, "deploy/pki/alice.pem")
        settings.MIDDLEWARE = middleware(settings.MIDDLEWARE, development=True)
    settings.ROOT_URLCONF = "tests.testing.urls"


def user(peer: str = "127.0.0.1", **meta: Any) -> Any:
    """Return the user of a request from this address; None if the request is refused for want of a credential."""
    response = Client(REMOTE_ADDR=peer, **meta).get("/things")
    return response.json()["user"] if response.status_code == 200 else None


@pytest.mark.django_db
@pytest.mark.usefixtures("in_development")
class TestDevelopmentIdentity:
    @pytest.mark.usefixtures("alice")
    @pytest.mark.parametrize("peer", ["127.0.0.1", "::1"])
    def test_request_of_this_machine_is_hers(self, peer: str) -> None:
        assert user(peer) == "alice"

    @pytest.mark.usefixtures("alice")
    @pytest.mark.parametrize("peer", ["10.0.0.7", "192.168.1.2", "fe80::1"])
    def test_request_of_another_machine_is_not(self, peer: str) -> None:
        assert user(peer) is None

    @pytest.mark.usefixtures("alice")
    def test_certificate_that_a_proxy_verified_stays(
        self, certificate_authority: Authority, enrolled_user: Any
    ) -> None:
        enrolled_user("bob")
        forwarded = certificate_authority.certificate_for("bob").environ
        assert user(forwarded.pop("REMOTE_ADDR"), **forwarded) == "bob"
        assert user("") is None

    def test_certificate_is_judged_like_each_other(self, alice: Issued) -> None:
        revoke_certificate(thumbprint=parse_pem(alice.pem).thumbprint)
        assert user() is None

    def test_nothing_happens_without_the_variable(self) -> None:
        assert user() is None

    def test_key_must_lie_beside_it(self, alice: Issued, tmp_path: Path, certificate_authority: Authority) -> None:
        (tmp_path / "alice.key").write_text(certificate_authority.issue("mallory").key_pem)
        with pytest.raises(ImproperlyConfigured, match="not the key of"):
            user()
        (tmp_path / "alice.key").unlink()
        with pytest.raises(ImproperlyConfigured, match="its key beside it"):
            user()


@pytest.mark.usefixtures("alice", "in_development")
@pytest.mark.django_db
def test_identity_does_not_exist_without_debug(settings: Any) -> None:
    assert found() == []
    settings.DEBUG = False
    assert found() == ["E111"]
    with pytest.raises(ImproperlyConfigured, match=r"securecore\.E111"):
        user()
    settings.MIDDLEWARE = middleware(settings.MIDDLEWARE, development=settings.DEBUG)
    assert found() == []
    assert user() is None

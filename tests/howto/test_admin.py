"""The page about the admin: a certificate and the password of the same user."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.urls import include, path

from securecore.testing import MutualTLSClient
from tests.support.tree import ROOT

_PAGE = (ROOT / "docs" / "howto" / "admin.md").read_text()
_NAMES: dict[str, Any] = {"__name__": "mysite.admin_site"}
for _block in re.findall(r"^```python\n(.*?)^```", _PAGE, re.S | re.M):
    exec(_block, _NAMES)
_SITE = _NAMES["CertificateAdminSite"]()


class _UrlConf:
    urlpatterns = (path("admin/", _SITE.urls), path("", include("securecore.urls")))


@pytest.fixture
def admin(settings: Any, enrolled_user: Any) -> None:
    """The site of the page, with alice and bob: staff, with passwords."""
    settings.ROOT_URLCONF = _UrlConf
    for name in ("alice", "bob"):
        user = enrolled_user(name, is_staff=True)
        user.is_staff = True
        user.set_password(f"of {name}")
        user.save()


def log_in(client: MutualTLSClient, name: str) -> Any:
    return client.post("/admin/login/?next=/admin/", {"username": name, "password": f"of {name}"})


def is_admin(client: MutualTLSClient) -> bool:
    return bool(client.get("/admin/").status_code == 200)


@pytest.mark.django_db
@pytest.mark.usefixtures("admin")
class TestAdmin:
    def test_certificate_and_password_of_one_user(self, mtls_client: Any) -> None:
        alice = mtls_client("alice")
        assert not is_admin(alice)
        assert alice.get("/admin/login/").status_code == 200
        assert log_in(alice, "alice").status_code == 302
        assert is_admin(alice)

    def test_password_without_a_certificate_is_not_even_tried(self, mtls_client: Any) -> None:
        nobody = mtls_client(None)
        assert nobody.get("/admin/login/").status_code == 403
        assert log_in(nobody, "alice").status_code == 403
        assert not is_admin(nobody)

    def test_password_of_another_user(self, mtls_client: Any) -> None:
        bob = mtls_client("bob")
        log_in(bob, "alice")
        assert not is_admin(bob)

    def test_session_by_certificate_alone_is_not_enough(self, mtls_client: Any) -> None:
        alice = mtls_client("alice")
        assert alice.post("/auth/login").status_code == 200
        assert not is_admin(alice)
        assert log_in(alice, "alice").status_code == 302
        assert is_admin(alice)

    def test_session_under_another_certificate(self, mtls_client: Any) -> None:
        alice, bob = mtls_client("alice"), mtls_client("bob")
        log_in(alice, "alice")
        bob.cookies = alice.cookies
        assert not is_admin(bob)


def test_config_names_the_site() -> None:
    assert _NAMES["CertificateAdminConfig"].default_site == "mysite.admin_site.CertificateAdminSite"

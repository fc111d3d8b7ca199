"""Keys for signatures in the admin: registered and revoked there, never changed."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User

from securecore import clock
from securecore.replay import SignatureKey, signature_keys
from tests.replay.signing import ED25519, public_pem

pytestmark = pytest.mark.django_db
ADD, LIST = "/admin/securecore/signaturekey/add/", "/admin/securecore/signaturekey/"


@pytest.fixture
def admin(admin_user: User, mtls_client: Any) -> Any:
    client = mtls_client(None)
    client.force_login(admin_user, "django.contrib.auth.backends.ModelBackend")
    return client


def test_registers_a_key(admin: Any, admin_user: User) -> None:
    answer = admin.post(
        ADD, {"keyid": "k1", "user": admin_user.username, "public_key": public_pem(ED25519), "step": "confirmed"}
    )
    assert answer.status_code == 302
    assert signature_keys.find("k1").user == admin_user


@pytest.mark.parametrize("pem", ["junk", "-----BEGIN PUBLIC KEY-----\nAA==\n-----END PUBLIC KEY-----"])
def test_registers_no_junk(admin: Any, admin_user: User, pem: str) -> None:
    answer = admin.post(ADD, {"keyid": "k1", "user": admin_user.username, "public_key": pem, "step": "confirmed"})
    assert b"no public key for signatures" in answer.content
    assert not SignatureKey.objects.exists()


def test_revokes_and_never_changes(admin: Any, admin_user: User) -> None:
    signature_keys.register(keyid="k1", user=admin_user, public_key=public_pem(ED25519), now=clock.now())
    admin.post(f"{LIST}k1/change/", {"keyid": "k1", "user": admin_user.pk, "public_key": "x"})
    assert signature_keys.find("k1").public_key == public_pem(ED25519)
    chosen = {"action": "revoke_keys", "_selected_action": ["k1"]}
    assert admin.post(LIST, chosen).status_code == 200  # the page that asks
    assert not SignatureKey.objects.get().revoked_at
    assert admin.post(LIST, chosen | {"step": "confirmed"}).status_code == 302
    assert SignatureKey.objects.get().revoked_at

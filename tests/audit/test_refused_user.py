"""A refusal by a lockout or a revocation names the certificate's user for operators, and never for the caller."""

from __future__ import annotations

import datetime as dt
from typing import Any

import jwt
import pytest
from django.contrib.auth.models import User

from securecore import audit, clock
from securecore.events import RequestRefused
from securecore.grants import lockouts, principal_of, principals
from securecore.http.refusal_report import kind_of, sentence_of
from securecore.models import ListedCertificate
from securecore.revocation import revoke_certificate
from securecore.testing import MutualTLSClient
from securecore.texts import without_secrets
from tests.events.recorder import of_kind, recorded
from tests.tokens.calls import given

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls("tests.tokens.urls")]


@pytest.fixture
def alice(mtls_client: Any) -> MutualTLSClient:
    client: MutualTLSClient = mtls_client("alice")
    return client


def reported(client: MutualTLSClient, **headers: Any) -> tuple[str, str | None, str, str, str]:
    """Return the code, the user, the reason, and the reason and the actor of the count, of one refused request."""
    audit.refusal_counts.take()
    with recorded() as events:
        answer = client.get("/both", **headers)
    assert set(answer.json()) == {"type", "title", "status", "code", "request_id"}
    (event,) = of_kind(events, RequestRefused)
    (counted,) = audit.refusal_counts.take()
    return event.code, event.user, event.reason, counted.reason, counted.actor


def test_lockout_of_each_kind_names_the_user(alice: MutualTLSClient) -> None:
    user = User.objects.get(username="alice")
    name, thumbprint = principal_of(user), user.certificates.get().thumbprint
    for subject, kind in (
        (name, "user-locked-out"),
        (principals.certificate(thumbprint), "certificate-locked-out"),
        ("issuer:CN=Test CA", "issuer-locked-out"),
        ("everyone", "everyone-locked-out"),
    ):
        lockouts.lock_out(subject=subject, lasts=dt.timedelta(hours=1), reason="a test")
        code, named, reason, counted, actor = reported(alice)
        assert (code, named, counted, actor) == ("locked-out", name, kind, name)
        assert reason == without_secrets(f"The lockout of {subject} is in force.")
        lockouts.lift(subject=subject)


def test_lockout_of_the_user_of_a_session_or_a_token(alice: MutualTLSClient) -> None:
    """No certificate names the user any more: the locked-out subject does."""
    user = User.objects.get(username="alice")
    token = given(alice)["access_token"]
    user.certificates.update(user=None)
    lockouts.lock_out(subject=principal_of(user), lasts=dt.timedelta(hours=1), reason="a test")
    code, named, *_, actor = reported(alice, HTTP_AUTHORIZATION=f"Bearer {token}")
    assert (code, named, actor) == ("locked-out", principal_of(user), principal_of(user))


@pytest.mark.parametrize("by", ["operator", "list", "ended list"])
def test_revoked_certificate_names_its_user(alice: MutualTLSClient, by: str) -> None:
    user = User.objects.get(username="alice")
    if by == "operator":
        revoke_certificate(thumbprint=user.certificates.get().thumbprint)
    else:
        certificate: Any = vars(alice.get("/both").wsgi_request)["client_certificate"]
        listed = certificate.serial_id if by == "list" else certificate.issuer_id
        ListedCertificate.objects.create(
            certificate=listed, reason=1 if by == "list" else 255, revoked_at=clock.now(), revocation_list_id=1
        )
    code, named, reason, kind, actor = reported(alice)
    assert code == ("revocation-list-expired" if by == "ended list" else "certificate-revoked")
    assert (named, actor) == (principal_of(user), principal_of(user))
    assert kind == ("on-a-revocation-list" if by == "list" else "")
    assert reason.endswith(".")


def test_no_reason_is_the_repr_of_an_exception_or_the_name_of_a_class() -> None:
    cases = {
        "expired-signature": jwt.ExpiredSignatureError("ended"),
        "decode-error": jwt.DecodeError("Not\n2 segments"),
        "value-error": ValueError(),
    }
    assert [kind_of(cause) for cause in cases.values()] == list(cases)
    assert [sentence_of(cause) for cause in cases.values()] == [
        "Expired signature: ended",
        "Decode error: Not\\n2 segments",
        "Value error.",
    ]

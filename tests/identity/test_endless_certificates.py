"""A device's certificate ends with the calendar, at 99991231235959Z (RFC 5280 section 4.1.2.5)."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.contrib.auth.models import User

from securecore import clock
from securecore.identity import enroll, parse_pem
from securecore.models import Certificate, CertificateIdentifier
from securecore.purge import purge
from securecore.testing import Authority, MutualTLSClient
from tests.sessions.test_endpoints import log_in
from tests.tokens.calls import given

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls("tests.tokens.urls")]

END = dt.datetime(9999, 12, 31, 23, 59, 59, tzinfo=dt.UTC)


@pytest.fixture
def device(ca: Authority) -> MutualTLSClient:
    issued = ca.issue("device", not_after=END)
    user = User.objects.create_user("device", is_staff=True, is_superuser=True)
    enroll(certificate=parse_pem(issued.pem), user=user, now=clock.now())
    return MutualTLSClient(issued)


def test_gets_tokens_and_sessions(device: MutualTLSClient) -> None:
    assert given(device)["access_token"]
    assert log_in(device)
    assert CertificateIdentifier.objects.count() == 2  # its key and its serial number
    purge(now=clock.now())
    assert CertificateIdentifier.objects.count() == 2


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago"])
def test_is_shown_in_every_time_zone(device: MutualTLSClient, settings: Any, zone: str) -> None:
    from django.utils import timezone

    settings.TIME_ZONE = zone
    row = Certificate.objects.get()
    assert row.not_after is not None
    assert timezone.localtime(row.not_after).year >= 9999

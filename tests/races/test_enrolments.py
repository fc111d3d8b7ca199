"""One certificate is enrolled for many users at the same time: one user has it."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User

from securecore import clock
from securecore.errors import Misuse
from securecore.identity import Certificate, enroll, parse_pem
from securecore.models import AuditRow
from securecore.testing import Authority

pytestmark = pytest.mark.django_db(transaction=True)

AT_ONCE = 8


@pytest.mark.parametrize("is_known", [False, True], ids=["new", "of a service before"])
def test_certificate_has_the_first_user_only(run_together: Any, ca: Authority, is_known: bool) -> None:
    users = [User.objects.create(username=f"user {number}") for number in range(AT_ONCE)]
    for number in range(3):
        certificate = parse_pem(ca.issue(f"shared {number}").pem)
        if is_known:
            enroll(certificate=certificate, user=None, now=clock.now())

        def enrolled(index: int, one: Any = certificate) -> str:
            try:
                return str(enroll(certificate=one, user=users[index], now=clock.now()).user)
            except Misuse:
                return ""

        results = [result for result in run_together(AT_ONCE, enrolled) if result]
        assert len(results) == 1
        assert str(Certificate.objects.get(pk=certificate.thumbprint).user) == results[0]
        rows = AuditRow.objects.filter(subject=f"certificate:{certificate.thumbprint}")
        assert [row.payload["user"] for row in rows if row.payload["user"]] == results

"""The bound of pending certificates, under many requests at once."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from securecore.events import CertificatePending
from securecore.identity import Certificate, parse_pem, present
from securecore.testing import Authority, MutualTLSClient
from tests.events.recorder import of_kind, recorded
from tests.races import carriers

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls("tests.identity.urls")]

AT_ONCE = 16


@pytest.mark.parametrize("limit", [1, 5])
def test_bound_holds_when_they_come_at_once(run_together: Any, ca: Authority, settings: Any, limit: int) -> None:
    settings.SECURECORE = {**settings.SECURECORE, "PENDING_CERTIFICATES": limit, "LOCK_TIMEOUT": 30.0}
    for number in range(3):
        clients = [MutualTLSClient(ca.issue(f"new {number}.{each}")) for each in range(AT_ONCE)]
        with recorded() as events:
            answers = run_together(AT_ONCE, lambda i, clients=clients: clients[i].get("/seen"))
        assert Counter(answer.status_code for answer in answers) == {200: AT_ONCE}
        assert Certificate.objects.pending().count() == limit
        if carriers.layout() is None:  # on hosts, each process emits its own
            assert len(of_kind(events, CertificatePending)) == limit
        Certificate.objects.all().delete()


def test_one_that_comes_many_times_at_once_is_kept_once(run_together: Any, ca: Authority, settings: Any) -> None:
    settings.SECURECORE = {**settings.SECURECORE, "PENDING_CERTIFICATES": 5, "LOCK_TIMEOUT": 30.0}
    for number in range(3):
        certificate = parse_pem(ca.issue(f"new {number}").pem)
        kept = run_together(AT_ONCE, lambda _, one=certificate: present(certificate=one))
        assert Counter(kept) == {True: 1, False: AT_ONCE - 1}
        assert Certificate.objects.count() == number + 1

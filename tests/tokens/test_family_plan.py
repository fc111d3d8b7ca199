"""PostgreSQL decides whether one family is alive by index searches, however many certificates are known and revoked."""

from __future__ import annotations

from itertools import pairwise

import pytest
from django.contrib.auth.models import User
from django.db import connection

from securecore import clock
from securecore.models import RefreshFamily
from tests.admin.records import family_of

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(connection.vendor != "postgresql", reason="the plan is that of PostgreSQL"),
]
#: Rows by which PostgreSQL prefers an index, a tenth of them revoked, and a name for each.
FILL = (
    "INSERT INTO securecore_certificate (thumbprint, matched_by, is_self_signed, subject, issuer, serial_number, "
    "revoked_at) SELECT n::text, 'thumbprint', false, '', '', '', CASE WHEN n % 10 = 0 THEN now() END "
    "FROM generate_series(1, 20000) n",
    "INSERT INTO securecore_certificate_identifier (id, certificate, identifier, expires_at) "
    "SELECT gen_random_uuid(), n::text, 'key ' || n, now() FROM generate_series(1, 20000) n",
    "ANALYZE securecore_certificate, securecore_certificate_identifier, securecore_refresh_family",
)


def test_no_certificate_is_read_but_those_of_the_family(users: dict[str, User]) -> None:
    family = family_of(users["alice"])
    with connection.cursor() as cursor:
        for statement in FILL:
            cursor.execute(statement)
    plan = RefreshFamily.objects.alive(clock.now()).filter(pk=family.pk).explain()
    lines = plan.splitlines()
    scans = [(line, after) for line, after in pairwise(lines) if " on securecore_certificate" in line]
    assert scans
    assert not [line for line, after in scans if "Index Cond" not in after], plan

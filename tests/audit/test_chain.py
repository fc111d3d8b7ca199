"""The hash chain: it finds each manipulation, and a purge is none."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import override_settings

from securecore import audit, clock
from securecore.audit import chain
from securecore.audit.models import AuditRow
from securecore.conf import settings
from securecore.events import KeyRetired
from securecore.grants import triggers
from securecore.purge import purge

pytestmark = pytest.mark.django_db


@pytest.fixture
def rows(db: None) -> list[AuditRow]:
    """Five sealed rows."""
    for number in range(5):
        audit.write(KeyRetired(kid=f"key {number}"))
    assert audit.seal() == 5
    return list(AuditRow.objects.order_by("id"))


def sql(text: str, *parameters: Any) -> None:
    """Run a statement as an owner of the tables without their triggers."""
    triggers.remove()
    with connection.cursor() as cursor:
        cursor.execute(text, parameters)


def test_chain_of_new_rows_is_whole(rows: list[AuditRow]) -> None:
    audit.write(KeyRetired(kid="later"))
    found = audit.verify()
    assert (found.faults, found.first, found.head.position, found.unsealed) == ([], 1, 5, 1)
    assert audit.seal() == 1
    assert audit.seal() == 0
    assert audit.verify().head == audit.head() == chain.Head(6, AuditRow.objects.get(position=6).digest or "")


def test_seal_begins_a_batch_behind_the_last_one(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches that begin at the first unsealed row read all rows behind it, again and again."""
    monkeypatch.setattr(chain, "_BATCH", 2)
    for number in range(8):
        audit.write(KeyRetired(kid=f"key {number}"))
    ids = list(AuditRow.objects.order_by("id").values_list("id", flat=True))
    begun: list[int] = []
    seal_batch = chain._seal_batch

    def noted(first: int) -> tuple[int, int | None]:
        begun.append(first)
        return seal_batch(first)

    monkeypatch.setattr(chain, "_seal_batch", noted)
    assert audit.seal() == 8
    assert begun == [ids[0], ids[2], ids[4], ids[6], ids[7] + 1]
    begun.clear()
    sql("UPDATE securecore_audit SET position = NULL WHERE id = %s OR id = %s", ids[0], ids[7])
    assert audit.seal() == 2
    assert begun == [ids[0], ids[2], ids[7]], "the sealed rows between the two are not read"


MANIPULATIONS: dict[str, tuple[str, str]] = {
    "a changed actor": ("UPDATE securecore_audit SET actor = 'nobody' WHERE position = 3", "Row 3 was changed."),
    "a changed payload": ("UPDATE securecore_audit SET payload = '{}' WHERE position = 3", "Row 3 was changed."),
    "a removed row": ("DELETE FROM securecore_audit WHERE position = 3", "Rows 3 to 3 are missing."),
    "another digest": (
        "UPDATE securecore_audit SET digest = previous WHERE position = 3",
        "Row 4 does not follow row 3.",
    ),
    "a changed predecessor": (
        "UPDATE securecore_audit SET previous = digest WHERE position = 3",
        "Row 3 does not follow row 2.",
    ),
}


@pytest.mark.parametrize("name", MANIPULATIONS)
def test_chain_shows_a_manipulation(rows: list[AuditRow], name: str) -> None:
    statement, fault = MANIPULATIONS[name]
    sql(statement)
    assert fault in audit.verify().faults


def reseal(position: int) -> None:
    """Compute the chain again from ``position``, as an owner of the tables can."""
    last = chain.Head()
    for row in AuditRow.objects.order_by("position"):
        previous = last.digest
        last = chain.Head(row.position or 0, chain.digest_of(row, row.position or 0, previous))
        sql("UPDATE securecore_audit SET previous = %s, digest = %s WHERE id = %s", previous, last.digest, row.pk)


ATTACKS: dict[str, Callable[[], None]] = {
    "changed and computed again": lambda: sql("UPDATE securecore_audit SET actor = 'nobody' WHERE position = 2"),
    "cut off at the end": lambda: sql("DELETE FROM securecore_audit WHERE position > 3"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_anchor_shows_a_chain_that_was_computed_again(rows: list[AuditRow], name: str) -> None:
    anchor = audit.head()
    ATTACKS[name]()
    reseal(1)
    assert audit.verify().faults == []
    assert audit.verify(anchor).faults


@pytest.mark.parametrize("position", [1, 3, 5])
def test_anchor_of_each_row_fits(rows: list[AuditRow], position: int) -> None:
    digest = AuditRow.objects.get(position=position).digest or ""
    assert audit.verify(chain.Head(position, digest)).faults == []


def test_anchor_of_an_empty_chain_fits_every_chain(db: None) -> None:
    anchor = audit.head()
    assert audit.verify(anchor).faults == []
    audit.write(KeyRetired(kid="first"))
    audit.seal()
    assert audit.verify(anchor).faults == []


class TestPurge:
    def written(self, days_ago: int, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("securecore.audit.record.clock.now", lambda: BEGIN - dt.timedelta(days=days_ago))
        audit.write(KeyRetired(kid=f"{days_ago} days ago"))
        monkeypatch.undo()

    @pytest.mark.django_db(transaction=True)
    def test_purge_deletes_by_age_and_leaves_a_whole_chain(self, monkeypatch: pytest.MonkeyPatch) -> None:
        kept = settings.HISTORY_RETENTION // 86_400
        with transaction.atomic():
            for days in (kept + 3, kept + 2, kept - 1, 0):
                self.written(days, monkeypatch)
        assert purge(now=BEGIN).rows["securecore_audit"] == 2
        assert [row.payload["kid"] for row in AuditRow.objects.order_by("id")] == [f"{kept - 1} days ago", "0 days ago"]
        found = audit.verify()
        assert (found.faults, found.first, found.unsealed) == ([], 3, 0)
        assert audit.verify(chain.Head(1, "x")).faults == []  # purged

    @pytest.mark.django_db(transaction=True)
    def test_purge_keeps_the_head(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with transaction.atomic():
            for days in (1000, 999):
                self.written(days, monkeypatch)
        assert purge(now=BEGIN).rows["securecore_audit"] == 1
        with transaction.atomic():
            audit.write(KeyRetired(kid="new"))
        audit.seal()
        found = audit.verify()
        assert (found.faults, found.first, found.head.position) == ([], 2, 3)

    @pytest.mark.django_db(transaction=True)
    def test_purge_under_a_shorter_retention_makes_no_gap(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with transaction.atomic():
            self.written(30, monkeypatch)
            with override_settings(SECURECORE={"HISTORY_RETENTION": 86_400}):
                self.written(20, monkeypatch)
                self.written(10, monkeypatch)
        assert purge(now=BEGIN).rows["securecore_audit"] == 0
        assert audit.verify().faults == []


BEGIN = clock.now()

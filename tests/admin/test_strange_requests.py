"""Requests that no page of the admin sends: keys that no row can have, too many of them, and conditions in the URL."""

from __future__ import annotations

from typing import Any

import pytest

from securecore.admin.operations import MOST_ROWS
from securecore.models import Session
from tests.admin.operator import ROOT, Operator
from tests.admin.records import Records, operations, pages, session_of

pytestmark = pytest.mark.django_db

#: PostgreSQL stores no NUL, and a UUID or a number is no such text.
STRANGE_KEYS = ("a\x00b", "9" * 26, "no-key")
WITH_ROWS = {model: name for model, name in operations() if getattr(pages()[model], name).operation.needs_rows}


@pytest.fixture
def operator(records: Records) -> Operator:
    return Operator(is_superuser=True)


@pytest.mark.parametrize(("model", "name"), WITH_ROWS.items())
def test_key_that_no_row_has_is_refused(operator: Operator, model: str, name: str) -> None:
    for key in STRANGE_KEYS:
        assert operator.select(model, name, key).status_code in (302, 400), key
    assert operator.select(model, name, "a\x00b").status_code == 400


def test_more_keys_than_a_page_has_rows_are_refused_unread(operator: Operator, settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_NUMBER_FIELDS = None
    assert operator.select("certificate", "revoke", *range(MOST_ROWS + 1)).status_code == 400


@pytest.mark.parametrize("model", pages())
def test_page_of_a_key_that_no_row_has_is_not_found(operator: Operator, model: str) -> None:
    for below in ("change", "history"):
        assert operator.client.get(f"{ROOT}{model}/a%00b/{below}/").status_code in (302, 404)


def test_no_column_can_be_guessed_by_a_condition_in_the_url(records: Records) -> None:
    """Django's list would filter by every column of the model, also by those that no page shows."""
    for model, condition in {"signingkey": "private_key__startswith=g", "session": "data__startswith=x"}.items():
        operator = Operator(f"view_{model}", name=f"reader of {model}")
        assert operator.client.get(f"{ROOT}{model}/?{condition}").status_code == 400


def test_session_of_a_user_whom_sql_deleted_is_shown_and_ended(records: Records, operator: Operator) -> None:
    row = session_of(records.alice)
    Session.objects.filter(pk=row.pk).update(user_id=999_999)
    assert operator.client.get(f"{ROOT}session/{row.pk}/change/").status_code == 200
    assert operator.confirm("session", "end_sessions", row.pk) == ["1 session was ended."]

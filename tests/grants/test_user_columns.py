"""A check reads the flags of a user from the columns in which the user model keeps them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection, models
from django.test.utils import isolate_apps

from securecore.grants.query import auth_tables, caller_state
from securecore.grants.query.auth_tables import EVERYTHING

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch, settings: Any) -> Iterator[Any]:
    """A user model whose columns have other names than its fields."""
    with isolate_apps("tests"):

        class Account(models.Model):
            key = models.AutoField(primary_key=True, db_column="account key")
            is_active = models.BooleanField(default=True, db_column="Enabled")
            is_superuser = models.BooleanField(default=False, db_column="is root")

            class Meta:
                app_label = "tests"

    settings.SECURECORE = settings.SECURECORE | {"DJANGO_PERMISSIONS": True}
    for module in (caller_state, auth_tables):
        monkeypatch.setattr(module, "get_user_model", lambda: Account)
    caller_state._function.cache_clear()
    with connection.schema_editor() as editor:
        editor.create_model(Account)
    yield Account
    caller_state._function.cache_clear()
    with connection.schema_editor() as editor:
        editor.delete_model(Account)


@pytest.mark.parametrize(("is_active", "refusal"), [(True, ""), (False, "user-inactive")])
def test_a_check_reads_the_columns_of_the_flags(account: Any, now: dt.datetime, is_active: bool, refusal: str) -> None:
    account.objects.create(key=7, is_active=is_active, is_superuser=True)
    state = caller_state.read(["user:7"], ["things.make"], now=now)
    assert state.refusal == refusal
    assert EVERYTHING in {grant.permission for grant in state.grants}

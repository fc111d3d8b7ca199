"""Django's middleware and driver that a check names; the other checks of Django's settings are in tests/projects."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection

from securecore.checks.django_settings import e808_psycopg_2, w809_login_required

_DJANGOS = "django.contrib.auth.middleware.LoginRequiredMiddleware"


def test_login_required(settings: Any) -> None:
    assert w809_login_required() == []
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "securecore.http.middleware.LoginRequiredMiddleware"]
    assert w809_login_required() == []
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, _DJANGOS]
    assert [problem.id for problem in w809_login_required()] == ["securecore.W809"]


@pytest.mark.skipif(connection.vendor != "postgresql", reason="a driver of PostgreSQL")
@pytest.mark.parametrize(("is_psycopg_3", "ids"), [(True, []), (False, ["securecore.E808"])])
def test_driver(is_psycopg_3: bool, ids: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django.db.backends.postgresql.psycopg_any.is_psycopg3", is_psycopg_3)
    assert [problem.id for problem in e808_psycopg_2()] == ids

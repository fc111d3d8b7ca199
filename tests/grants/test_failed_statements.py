"""A view that catches the error of a statement and responds with a success: PostgreSQL would drop its effects."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import IntegrityError, connection, transaction
from django.http import HttpResponse
from django.test import RequestFactory

from securecore.errors import Misuse
from securecore.http.decorators import requires
from securecore.testing import identified

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite goes on after a failed statement"),
]
MAKE = "transfers.create"


@pytest.fixture
def post(enrolled_user: Any, certificate_for: Any) -> Any:
    """`post(view)` calls a view as alice, with every permission."""
    enrolled_user("alice", permissions=[MAKE])

    def post(view: Any) -> Any:
        return view(identified(RequestFactory().post("/"), certificate_for("alice")))

    return post


def pay(status: int, *, savepoint: bool) -> HttpResponse:
    Group.objects.create(name="paid")
    try:
        if savepoint:
            with transaction.atomic():
                Group.objects.create(name="paid")
        else:
            Group.objects.create(name="paid")
    except IntegrityError:
        pass
    return HttpResponse(status=status)


@pytest.mark.parametrize("late", [False, True])
def test_success_without_its_effects_is_a_misuse(post: Any, late: bool) -> None:
    with pytest.raises(Misuse, match="PostgreSQL rolls every effect back"):
        post(requires(MAKE, late=late)(lambda request: pay(201, savepoint=False)))
    assert not Group.objects.exists()


def test_savepoint_keeps_the_effects(post: Any) -> None:
    assert post(requires(MAKE)(lambda request: pay(201, savepoint=True))).status_code == 201
    assert Group.objects.exists()


def test_error_response_keeps_its_status(post: Any) -> None:
    assert post(requires(MAKE)(lambda request: pay(409, savepoint=False))).status_code == 409
    assert not Group.objects.exists()

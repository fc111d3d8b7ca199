"""The manual's outbox, as printed there: each committed message is delivered, wherever a process dies."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from django.contrib.auth.models import User
from django.db import connection, models, transaction
from django.test import RequestFactory
from django.utils import timezone
from rest_framework.response import Response
from rest_framework.views import APIView

from securecore.http.decorators import idempotent

pytestmark = pytest.mark.django_db(transaction=True)

MANUAL = Path(__file__).resolve().parents[2] / "docs/idempotency.md"


class Order(models.Model):
    amount = models.IntegerField()

    objects: ClassVar[Any] = models.Manager()

    class Meta:
        app_label = "tests"


class Outbox(models.Model):
    order = models.ForeignKey(Order, on_delete=models.CASCADE)
    key = models.CharField(max_length=100)
    delivered_at = models.DateTimeField(null=True)

    objects: ClassVar[Any] = models.Manager()

    class Meta:
        app_label = "tests"


class Died(BaseException):
    """The process ends: no exception handler runs."""


class Bank:
    """A bank that honours keys: the same key pays once."""

    def __init__(self) -> None:
        self.fails_with: list[BaseException] = []
        self.calls: list[str] = []

    def pay(self, order: Order, headers: dict[str, str]) -> None:
        self.calls.append(headers["Idempotency-Key"])
        if self.fails_with:
            raise self.fails_with.pop()

    @property
    def payments(self) -> int:
        return len(set(self.calls))


class Shop:
    """The names that the manual's text defines."""

    def __init__(self, user: User) -> None:
        self.user, self.bank = user, Bank()
        (text,) = (each for each in re.findall(r"```python\n(.*?)```", MANUAL.read_text(), re.S) if "Outbox" in each)
        given: dict[str, Any] = {"APIView": APIView, "Response": Response, "idempotent": idempotent}
        given |= {"transaction": transaction, "timezone": timezone, "bank": self.bank}
        self.names = {
            **given,
            "timezone": timezone,
            "bank": self.bank,
            "Order": Order,
            "Outbox": Outbox,
        }
        exec(text, self.names)

    def order(self, key: str = "k") -> Any:
        request: Any = RequestFactory().post(
            "/", json.dumps({"amount": 5}), content_type="application/json", headers={"Idempotency-Key": key}
        )
        request._force_auth_user, request.client_certificate = self.user, None
        return self.names["Orders"].as_view(permission_classes=[])(request)

    def deliver_what_is_left(self) -> None:
        for message in Outbox.objects.filter(delivered_at=None):
            self.names["deliver"](message.pk)


@pytest.fixture
def shop(users: dict[str, User]) -> Iterator[Shop]:
    with connection.schema_editor() as editor:
        editor.create_model(Order)
        editor.create_model(Outbox)
    yield Shop(users["alice"])
    with connection.schema_editor() as editor:
        editor.delete_model(Outbox)
        editor.delete_model(Order)


class TestOutbox:
    def test_outbox_delivers_at_once(self, shop: Shop) -> None:
        assert shop.order().status_code == 202
        assert shop.bank.payments == Order.objects.count() == 1
        assert not Outbox.objects.filter(delivered_at=None).exists()

    def test_outbox_delivers_once_to_all_who_repeat_the_order(self, shop: Shop) -> None:
        first, second = shop.order(), shop.order()
        shop.deliver_what_is_left()
        assert first.content == second.content
        assert len(shop.bank.calls) == Order.objects.count() == 1

    def test_outbox_outlasts_a_bank_that_is_down(self, shop: Shop) -> None:
        shop.bank.fails_with.append(ConnectionError())
        assert shop.order().status_code == 202
        shop.deliver_what_is_left()
        assert (len(shop.bank.calls), shop.bank.payments) == (2, 1)

    def test_outbox_outlasts_the_process(self, shop: Shop) -> None:
        """The process dies after the bank paid and before this was stored: the same key is sent again."""
        shop.bank.fails_with.append(Died())
        with pytest.raises(Died):
            shop.order()
        assert shop.order()["Idempotency-Replayed"] == "true"
        shop.deliver_what_is_left()
        assert (len(shop.bank.calls), shop.bank.payments) == (2, 1)
        assert Order.objects.count() == 1

    def test_outbox_pays_another_order_again(self, shop: Shop) -> None:
        shop.order("one")
        shop.order("two")
        assert shop.bank.payments == 2

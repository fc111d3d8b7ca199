"""Users with columns that Python reads in another form: JSON, generated, decimal, duration, binary, encrypted."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models.functions import Lower


class Secret(models.TextField):
    """A text that is stored in reverse, in place of a cipher."""

    def from_db_value(self, value: str, *_: Any) -> str:
        return value[::-1]

    def get_prep_value(self, value: Any) -> Any:
        return str(value)[::-1]


class User(AbstractUser):
    preferences = models.JSONField(default=dict)
    folded = models.GeneratedField(expression=Lower("username"), output_field=models.TextField(), db_persist=True)
    limit = models.DecimalField(max_digits=9, decimal_places=2, default="12.50")
    timeout = models.DurationField(null=True)
    picture = models.BinaryField(default=b"\x00\x01")
    note = Secret(default="abc")
    address = models.GenericIPAddressField(default="2001:db8::1")

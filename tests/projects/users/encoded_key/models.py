"""Users with a key that reads otherwise in Python than in the database, as a hash id or an encrypted number does."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import AbstractUser
from django.db import models


class CodeField(models.AutoField):
    """An integer in the database, ``U-7`` in Python."""

    def from_db_value(self, value: int | None, *_: Any) -> str | None:
        return None if value is None else f"U-{value}"

    def to_python(self, value: Any) -> Any:
        return value if value is None or str(value).startswith("U-") else f"U-{int(value)}"

    def get_prep_value(self, value: Any) -> Any:
        return super().get_prep_value(str(value).removeprefix("U-")) if value is not None else None


class User(AbstractUser):
    id = CodeField(primary_key=True)

"""Users in another schema of PostgreSQL, by the quoted ``db_table`` that projects use for it."""

from __future__ import annotations

from django.contrib.auth.models import AbstractUser


class User(AbstractUser):
    class Meta:
        db_table = '"legacy"."users"'

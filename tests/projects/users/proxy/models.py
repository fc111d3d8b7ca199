"""A proxy of another user model."""

from __future__ import annotations

from django.contrib.auth.models import AbstractUser


class Account(AbstractUser):
    pass


class User(Account):
    class Meta:
        proxy = True

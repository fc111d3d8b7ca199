"""Users that are deleted by a mark: the default manager hides them."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import AbstractUser, UserManager
from django.db import models


class Manager(UserManager):
    def get_queryset(self) -> Any:
        return super().get_queryset().filter(deleted_at=None)


class User(AbstractUser):
    deleted_at = models.DateTimeField(null=True, blank=True)
    objects = Manager()
    everybody = UserManager()

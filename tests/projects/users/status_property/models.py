"""Users with a status: ``is_active`` is a property, which no SQL knows."""

from __future__ import annotations

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.db import models


class User(AbstractBaseUser, PermissionsMixin):
    username = models.CharField(max_length=50, unique=True)
    status = models.CharField(max_length=10, default="active")
    objects = BaseUserManager()
    USERNAME_FIELD = "username"

    @property
    def is_active(self) -> bool:
        return self.status == "active"

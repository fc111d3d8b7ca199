"""Users that log in by e-mail: ``AbstractUser`` without a user name, with a manager of its own."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import AbstractUser, BaseUserManager
from django.db import models


class Manager(BaseUserManager):
    def create_user(self, email: str, **fields: Any) -> Any:
        user = self.model(email=self.normalize_email(email), **fields)
        user.set_unusable_password()
        user.save(using=self._db)
        return user


class User(AbstractUser):
    username = None
    email = models.EmailField(unique=True)
    objects = Manager()
    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: list[str] = []

"""Users without Django's permissions: ``AbstractBaseUser`` alone, with no flag and no group."""

from __future__ import annotations

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager
from django.db import models


class User(AbstractBaseUser):
    username = models.CharField(max_length=50, unique=True)
    objects = BaseUserManager()
    USERNAME_FIELD = "username"

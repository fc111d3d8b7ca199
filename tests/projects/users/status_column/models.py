"""Users with a status: ``is_active`` is a generated column."""

from __future__ import annotations

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.db import models


class User(AbstractBaseUser, PermissionsMixin):
    username = models.CharField(max_length=50, unique=True)
    status = models.CharField(max_length=10, default="active")
    is_active = models.GeneratedField(
        expression=models.Q(status="active"), output_field=models.BooleanField(), db_persist=True
    )
    objects = BaseUserManager()
    USERNAME_FIELD = "username"

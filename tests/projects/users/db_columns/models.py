"""Users of an older database: no column and no table has the name of its field or model."""

from __future__ import annotations

from django.contrib.auth.models import AbstractUser
from django.db import models


class User(AbstractUser):
    id = models.BigAutoField(primary_key=True, db_column="Account No")
    username = models.CharField(max_length=50, unique=True, db_column="LoginName")
    is_active = models.BooleanField(default=True, db_column="Enabled")
    is_staff = models.BooleanField(default=False, db_column="Clerk")
    is_superuser = models.BooleanField(default=False, db_column="is root")

    class Meta:
        db_table = "Legacy Users"

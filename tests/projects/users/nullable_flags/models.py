"""Users with flags that may be null, which counts as false."""

from __future__ import annotations

from django.contrib.auth.models import AbstractUser
from django.db import models


class User(AbstractUser):
    is_active = models.BooleanField(null=True, default=True)
    is_superuser = models.BooleanField(null=True)

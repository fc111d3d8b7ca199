"""Users with a key of two bytes."""

from __future__ import annotations

from django.contrib.auth.models import AbstractUser
from django.db import models


class User(AbstractUser):
    id = models.SmallAutoField(primary_key=True)

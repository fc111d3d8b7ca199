"""Users of an older database, with flags of 0 and 1 in a column of numbers."""

from __future__ import annotations

from django.contrib.auth.models import AbstractUser
from django.db import models


class User(AbstractUser):
    is_active = models.SmallIntegerField(default=1)

"""Users keyed by their e-mail address, which may be longer than a principal."""

from __future__ import annotations

from django.contrib.auth.models import AbstractUser
from django.db import models


class User(AbstractUser):
    username = models.EmailField(primary_key=True)

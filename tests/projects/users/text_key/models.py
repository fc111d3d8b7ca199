"""Users keyed by a text, for example a staff number. Upper and lower case are two users."""

from __future__ import annotations

from django.contrib.auth.models import AbstractUser
from django.db import models


class User(AbstractUser):
    username = models.CharField(max_length=40, primary_key=True)

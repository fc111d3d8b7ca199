"""Users with every flag in the table of a parent model (multi-table inheritance)."""

from __future__ import annotations

from django.contrib.auth.models import AbstractUser
from django.db import models


class Person(AbstractUser):
    pass


class User(Person):
    desk = models.CharField(max_length=20, blank=True)

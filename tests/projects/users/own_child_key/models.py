"""Users with a parent's table and a key of their own, so that flags and groups name another value."""

from __future__ import annotations

from django.contrib.auth.models import AbstractUser
from django.db import models


class Person(AbstractUser):
    pass


class User(Person):
    number = models.BigAutoField(primary_key=True)
    person = models.OneToOneField(Person, models.CASCADE, parent_link=True)

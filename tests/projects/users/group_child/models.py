"""Users with groups of a child model of Django's group."""

from __future__ import annotations

from django.contrib.auth.models import AbstractUser, Group
from django.db import models


class Team(Group):
    floor = models.IntegerField(default=0)


class User(AbstractUser):
    groups = models.ManyToManyField(Team, blank=True)

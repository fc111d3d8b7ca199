"""Users with a manager that defers a column, joins another table and annotates."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import AbstractUser, UserManager
from django.db import models


class Team(models.Model):
    name = models.CharField(max_length=20)


class Manager(UserManager):
    def get_queryset(self) -> Any:
        rows = super().get_queryset().select_related("team").defer("biography")
        return rows.annotate(group_count=models.Count("groups"))


class User(AbstractUser):
    team = models.ForeignKey(Team, models.SET_NULL, null=True, blank=True)
    biography = models.TextField(blank=True)
    objects = Manager()

"""Users with ``groups`` that are no groups of Django, but teams of their own with the same numbers."""

from __future__ import annotations

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager
from django.db import models


class Team(models.Model):
    name = models.CharField(max_length=20)


class Right(models.Model):
    name = models.CharField(max_length=20)


class User(AbstractBaseUser):
    username = models.CharField(max_length=50, unique=True)
    is_active = models.BooleanField(default=True)
    groups = models.ManyToManyField(Team, blank=True)
    user_permissions = models.ManyToManyField(Right, blank=True)
    objects = BaseUserManager()
    USERNAME_FIELD = "username"

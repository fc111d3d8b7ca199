"""Users that a group does not know: ``related_name="+"``."""

from __future__ import annotations

from django.contrib.auth.models import AbstractUser, Group, Permission
from django.db import models


class User(AbstractUser):
    groups = models.ManyToManyField(Group, blank=True, related_name="+")
    user_permissions = models.ManyToManyField(Permission, blank=True, related_name="+")

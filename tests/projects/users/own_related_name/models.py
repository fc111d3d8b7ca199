"""Users with another ``related_name`` of groups and permissions: a group has no ``user_set``."""

from __future__ import annotations

from django.contrib.auth.models import AbstractUser, Group, Permission
from django.db import models


class User(AbstractUser):
    groups = models.ManyToManyField(Group, blank=True, related_name="members", related_query_name="member")
    user_permissions = models.ManyToManyField(Permission, blank=True, related_name="holders")

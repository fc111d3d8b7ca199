"""Users with a model for each membership in a group."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.models import AbstractUser, Group
from django.db import models


class Membership(models.Model):
    member = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, db_column="of user")
    joined = models.ForeignKey(Group, models.CASCADE, db_column="of group")
    since = models.DateField(auto_now_add=True)


class User(AbstractUser):
    groups = models.ManyToManyField(Group, through=Membership, blank=True)

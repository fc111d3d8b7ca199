"""Users with a UUID in a parent's table, a parent link of another name, and flags in two tables."""

from __future__ import annotations

import uuid

from django.contrib.auth.models import AbstractBaseUser, PermissionsMixin, UserManager
from django.db import models


class Person(AbstractBaseUser):
    key = models.UUIDField(primary_key=True, default=uuid.uuid4)
    username = models.CharField(max_length=50, unique=True)
    is_active = models.BooleanField(default=True)
    is_staff = models.BooleanField(default=False)
    USERNAME_FIELD = "username"


class User(PermissionsMixin, Person):
    person = models.OneToOneField(Person, models.CASCADE, parent_link=True, primary_key=True, db_column="of person")
    email = models.EmailField(blank=True)
    objects = UserManager()

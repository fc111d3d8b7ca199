"""Users of django-polymorphic: a query of the base class returns objects of the child classes."""

from __future__ import annotations

from django.contrib.auth.models import AbstractUser, UserManager
from django.db import models
from polymorphic.managers import PolymorphicManager
from polymorphic.models import PolymorphicModel


class Manager(PolymorphicManager, UserManager):
    use_in_migrations = False


class User(PolymorphicModel, AbstractUser):
    objects = Manager()


class Clerk(User):
    desk = models.CharField(max_length=20, blank=True)

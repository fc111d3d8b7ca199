"""Users that are keyed by another model, which is no parent."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import AbstractUser
from django.db import models


class Person(models.Model):
    name = models.CharField(max_length=50)


class User(AbstractUser):
    person = models.OneToOneField(Person, models.CASCADE, primary_key=True)

    def save(self, *args: Any, **kwargs: Any) -> None:
        if self.person_id is None:
            self.person = Person.objects.create(name=self.username)
        super().save(*args, **kwargs)

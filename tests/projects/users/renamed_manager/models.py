"""Users without ``objects``, ordered, and with a base manager of their own."""

from __future__ import annotations

from django.contrib.auth.models import AbstractUser, UserManager


class User(AbstractUser):
    people = UserManager()

    class Meta:
        default_manager_name = "people"
        base_manager_name = "people"
        ordering = ("-username",)

"""The suite's settings plus the tables of the peers."""

from __future__ import annotations

from tests.settings import *  # noqa: F403
from tests.settings import INSTALLED_APPS as _OURS

INSTALLED_APPS = [*_OURS, "django.contrib.sessions", "rest_framework_simplejwt.token_blacklist"]

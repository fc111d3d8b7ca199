"""A minimal Django project, configured by one call."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import django
from django.conf import settings
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.db import connections
from django.http import HttpRequest, JsonResponse

from tests.scanner.peers.credentials import PASSWORD, USERNAME


def configure(module: str, *, apps: tuple[str, ...] = (), **more: Any) -> None:
    """Configure Django with the urlpatterns of ``module`` and the database file PEER_DATABASE."""
    options: dict[str, Any] = {
        "SECRET_KEY": "the peers' own key, which signs nothing but their tests",
        "ALLOWED_HOSTS": ["localhost", "127.0.0.1"],
        "ROOT_URLCONF": module,
        "DATABASES": {
            "default": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": os.environ["PEER_DATABASE"],
                "OPTIONS": {"timeout": 20, "init_command": "PRAGMA journal_mode=WAL"},
            }
        },
        "INSTALLED_APPS": ["django.contrib.auth", "django.contrib.contenttypes", "rest_framework", *apps],
        "DEFAULT_AUTO_FIELD": "django.db.models.BigAutoField",
        "PASSWORD_HASHERS": ["django.contrib.auth.hashers.MD5PasswordHasher"],
        "USE_TZ": True,
    }
    settings.configure(**options | more)
    django.setup()


def application(*others: str) -> Callable[..., Any]:
    """Create the tables, one user and ``others`` with the same password, and return the WSGI application."""
    from django.contrib.auth.models import User

    call_command("migrate", verbosity=0)
    for name in (USERNAME, *others):
        User.objects.create_user(name, password=PASSWORD)
    close_connections()
    return get_wsgi_application()


def close_connections() -> None:
    """Close the connections of the process that forks: each worker opens its own."""
    connections.close_all()


def whoami(request: HttpRequest) -> JsonResponse:
    if not request.user.is_authenticated:
        return JsonResponse({"detail": "Log in."}, status=401)
    return JsonResponse({"user": request.user.get_username()})

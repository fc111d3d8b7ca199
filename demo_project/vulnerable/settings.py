"""The twin's settings. ``DEMO_VAR`` is where the demo keeps its files, ``DATABASE_URL`` names another database."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import dj_database_url

VAR = Path(os.environ.get("DEMO_VAR") or Path(__file__).resolve().parents[2] / "var")

# This key signs tokens that every client with a demo certificate can request. It guards nothing.
SECRET_KEY = "the unprotected twin's key, of no use anywhere else"  # noqa: S105
DEBUG = False
ALLOWED_HOSTS = ["*"]

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "rest_framework",
    "demo_project",
    "demo_project.payments",
    "demo_project.vulnerable",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "demo_project.vulnerable.sessions.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
]
ROOT_URLCONF = "demo_project.vulnerable.urls"
WSGI_APPLICATION = "demo_project.vulnerable.wsgi.application"
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
APPEND_SLASH = False
USE_TZ = True
TIME_ZONE = "UTC"

# nginx ends TLS for both services and overwrites this header.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SESSION_COOKIE_PATH = "/vulnerable/"
SESSION_COOKIE_SECURE = True
# "The page shows the id to the support", and another site embeds the page. Without the __Host- prefix a neighbour host
# may set the cookie.
SESSION_COOKIE_HTTPONLY = False
SESSION_COOKIE_SAMESITE = False

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["demo_project.vulnerable.authentication.Authentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
}


def _database() -> Any:
    url = os.environ.get("DATABASE_URL", "")
    if not url.startswith("postgres"):
        # The twin has its own database, never the protected service's file.
        url = f"sqlite:///{VAR / 'vulnerable.sqlite3'}"
    database: dict[str, Any] = dict(dj_database_url.parse(url, conn_max_age=60))
    options = database.setdefault("OPTIONS", {})
    if database["ENGINE"].endswith("sqlite3"):
        options.update(transaction_mode="IMMEDIATE", timeout=20, init_command="PRAGMA journal_mode=WAL")
    else:
        options["options"] = f"{options.get('options', '')} -c search_path=vulnerable".strip()
    return database


DATABASES = {"default": _database()}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

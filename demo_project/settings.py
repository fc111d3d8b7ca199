"""Django's settings for the protected service.

The environment gives PORT (nginx's port), DATABASE_URL (the database; without it a SQLite file in var) and DEMO_VAR
(the folder for all files that are created at run time).
"""

from __future__ import annotations

import contextlib
import os
import secrets
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dj_database_url
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from django.core.exceptions import ImproperlyConfigured

from securecore.json_logs import LOGGING  # noqa: F401 - a setting

BASE_DIR = Path(__file__).resolve().parent.parent
VAR = Path(os.environ.get("DEMO_VAR") or BASE_DIR / "var").absolute()
_SQLITE, _POSTGRESQL = "django.db.backends.sqlite3", "django.db.backends.postgresql"
ORIGIN = f"https://localhost:{os.environ.get('PORT') or 8443}"


def _kept_secret(name: str, make: Callable[[], bytes]) -> str:
    """Return the content of var/secrets/``name``. The first process that needs the file creates it."""
    path = VAR / "secrets" / name
    try:
        VAR.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        if not path.exists():
            # mkstemp gives mode 0600. os.link fails if another process was first, and never shows half a file.
            descriptor, temporary = tempfile.mkstemp(dir=path.parent)
            with os.fdopen(descriptor, "wb") as file:
                file.write(make())
            with contextlib.suppress(FileExistsError):
                os.link(temporary, path)
            os.unlink(temporary)
        return path.read_text(encoding="ascii")
    except OSError as error:
        raise ImproperlyConfigured(f"Cannot use {path}: {error.strerror}. DEMO_VAR names another folder.") from None


def _p256_key() -> bytes:
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _database() -> dict[str, Any]:
    database: dict[str, Any] = {"ENGINE": _SQLITE, "NAME": VAR / "demo.sqlite3"}
    if url := os.environ.get("DATABASE_URL"):
        try:
            database = dict(dj_database_url.parse(url))
        except ValueError:
            database = {}
        if database.get("ENGINE") not in (_SQLITE, _POSTGRESQL):
            # The message leaves out the URL, which may hold a password.
            raise ImproperlyConfigured("DATABASE_URL must be postgresql://user:password@host/name or sqlite:///file.")
    options = database.setdefault("OPTIONS", {})
    if database["ENGINE"] == _SQLITE:
        # With an absolute path every process opens the same file, from every working directory.
        database["NAME"] = BASE_DIR / database["NAME"]
        # select_for_update does nothing on SQLite. Only a transaction that takes the write lock at its start makes the
        # check and the effect one step. FULL: a commit that was answered survives a power cut.
        options |= {
            "transaction_mode": "IMMEDIATE",
            "timeout": 5,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL",
        }
    else:
        # A gunicorn thread keeps its connection for a minute. Django tests the connection before each use.
        database |= {"CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True}
        options.setdefault("connect_timeout", 3)
    return database


SECRET_KEY = _kept_secret("django_secret_key", lambda: secrets.token_urlsafe(48).encode())
DEBUG = False
ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]"]
ROOT_URLCONF = "demo_project.urls"
WSGI_APPLICATION = "demo_project.wsgi.application"

INSTALLED_APPS = [
    "demo_project",
    "demo_project.payments",
    "securecore",
    "rest_framework",
    "drf_spectacular",
    "demo_project.admin_app.CertificateAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.staticfiles",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "securecore.http.middleware.ClientCertificateMiddleware",
    "securecore.http.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "securecore.http.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "securecore.http.middleware.RefusalMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
DATABASES = {"default": _database()}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "UTC"
# The style sheets of the admin: collected at the start of the demo, sent by nginx.
STATIC_URL = "/static/"
STATIC_ROOT = VAR / "static"

# A user logs in by certificate, never by password.
AUTHENTICATION_BACKENDS = [
    "securecore.http.backends.CertificateBackend",
    "django.contrib.auth.backends.ModelBackend",
]
SESSION_ENGINE = "securecore.sessions"
SESSION_COOKIE_NAME = "__Host-sessionid"
SESSION_COOKIE_SECURE = True
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_NAME = "__Host-csrftoken"
CSRF_COOKIE_SECURE = True
CSRF_COOKIE_HTTPONLY = True
CSRF_COOKIE_SAMESITE = "Lax"

# nginx overwrites this header, and no other program reaches the socket.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
X_FRAME_OPTIONS = "DENY"
CSRF_FAILURE_VIEW = "securecore.http.problems.csrf_failure"
# W004, W008: nginx sends HSTS, also for the requests it answers itself. Nothing listens on plain HTTP.
SILENCED_SYSTEM_CHECKS = ["security.W004", "security.W008"]

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "securecore.http.authentication.AccessTokenAuthentication",
        "securecore.http.authentication.DPoPAuthentication",
        "securecore.http.authentication.CertificateAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "EXCEPTION_HANDLER": "securecore.http.problems.exception_handler",
    "DEFAULT_SCHEMA_CLASS": "securecore.http.openapi.AutoSchema",
}

# OpenAPI 3.1 is the first version with mutual TLS.
_TOKEN_ENDPOINT = {
    "type": "oauth2",
    "flows": {"clientCredentials": {"tokenUrl": f"{ORIGIN}/oauth/token", "scopes": {}}},
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Payments",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "ENFORCE_NON_BLANK_FIELDS": True,
    "APPEND_COMPONENTS": {"securitySchemes": {"tokenEndpoint": _TOKEN_ENDPOINT}},
}

SECURECORE: dict[str, Any] = {
    # The socket has mode 0700: only the account that runs nginx can connect.
    "TRUSTED_PROXIES": ["unix:"],
    # `manage.py securecore_keys rotate` encrypts its signing keys with this key. They sign in place of the key below.
    "ENCRYPTION_KEYS": [_kept_secret("key_encryption_key", Fernet.generate_key)],
    "TOKEN_ISSUER": ORIGIN,
    "TOKEN_AUDIENCE": ORIGIN,
    "TOKEN_SIGNING_KEYS": [
        {"kid": "k1", "alg": "ES256", "private_key": _kept_secret("token_signing_key.pem", _p256_key)}
    ],
}

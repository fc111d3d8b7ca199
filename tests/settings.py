"""Django settings of the suite: SQLite in memory, or the database that TEST_DATABASE_URL names."""

from __future__ import annotations

import os
from typing import Any

import dj_database_url
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

SECRET_KEY = "for the tests only"
DEBUG = False
ALLOWED_HOSTS = ["testserver", "localhost"]
ROOT_URLCONF = "tests.urls"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
STATIC_URL = "static/"
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
# The peer of a unix socket has no address.
ALLAUTH_TRUSTED_CLIENT_IP_HEADER = "X-Real-IP"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


def _database() -> dict[str, Any]:
    database: dict[str, Any] = dict(dj_database_url.parse(os.environ.get("TEST_DATABASE_URL") or "sqlite://:memory:"))
    if database["ENGINE"] == "django.db.backends.sqlite3":
        database["OPTIONS"] = {
            "transaction_mode": "IMMEDIATE",
            "timeout": 5,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL",
        }
    return database


DATABASES = {"default": _database()}

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "rest_framework",
    "securecore",
    "allauth",
    "allauth.account",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "securecore.http.middleware.ClientCertificateMiddleware",
    "securecore.http.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "securecore.http.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "securecore.http.middleware.RefusalMiddleware",
]
AUTHENTICATION_BACKENDS = [
    "securecore.http.backends.CertificateBackend",
    "django.contrib.auth.backends.ModelBackend",
]
SESSION_ENGINE = "securecore.sessions"
SESSION_COOKIE_NAME = "__Host-sessionid"
SESSION_COOKIE_SECURE = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SECURE = True
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
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "securecore.http.authentication.AccessTokenAuthentication",
        "securecore.http.authentication.CertificateAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "EXCEPTION_HANDLER": "securecore.http.problems.exception_handler",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
SECURECORE = {
    "TRUSTED_PROXIES": ["unix:", "10.0.0.0/8"],
    "PROXY_SECRETS": ["a proxy secret that only the tests know"],
    "TOKEN_ISSUER": "https://testserver",
    "TOKEN_AUDIENCE": "https://testserver",
    "TOKEN_SIGNING_KEYS": [
        {
            "kid": "test",
            "alg": "ES256",
            "private_key": ec.generate_private_key(ec.SECP256R1())
            .private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            .decode(),
        }
    ],
}

"""Settings of the service under chaos, a minimal project with securecore. CHAOS_DATABASE_URL names the database."""

from __future__ import annotations

import os
from typing import Any

import dj_database_url

from securecore import clock

SECRET_KEY = "for chaos only"
ALLOWED_HOSTS = ["localhost"]
ROOT_URLCONF = "tools.chaos.urls"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")


def _database() -> dict[str, Any]:
    database: dict[str, Any] = dict(dj_database_url.parse(os.environ["CHAOS_DATABASE_URL"]))
    if database["ENGINE"] == "django.db.backends.sqlite3":
        database["OPTIONS"] = {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL",
        }
    else:
        # PgBouncer in transaction mode may send a statement to a server connection that has not prepared it.
        database["OPTIONS"] = {"prepare_threshold": None}
        database["DISABLE_SERVER_SIDE_CURSORS"] = True
        database["CONN_MAX_AGE"] = 60
    return database


DATABASES = {"default": _database()}
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "rest_framework", "securecore"]
MIDDLEWARE = [
    "securecore.http.middleware.ClientCertificateMiddleware",
    "securecore.http.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "securecore.http.middleware.RefusalMiddleware",
    "tools.chaos.failpoints.FailpointMiddleware",
]
AUTHENTICATION_BACKENDS = ["securecore.http.backends.CertificateBackend"]
SESSION_ENGINE = "securecore.sessions"
SESSION_COOKIE_NAME = "__Host-sessionid"
SESSION_COOKIE_SECURE = True
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["securecore.http.authentication.CertificateAuthentication"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "EXCEPTION_HANDLER": "securecore.http.problems.exception_handler",
}
SECURECORE = {"TRUSTED_PROXIES": ["unix:"]}
# All processes run on one host with one clock, so a lease needs no allowance for clock skew.
clock.SKEW = 0

"""Django settings of the service behind each proxy: SECURECORE_SOURCE names the proxy, EDGE_VAR the folder."""

from __future__ import annotations

import json
import os
from typing import Any

import dj_database_url

VAR = os.environ["EDGE_VAR"]
SECRET_KEY = "for the tests only"
ALLOWED_HOSTS = ["localhost", "127.0.0.1"]
ROOT_URLCONF = "tests.acceptance.proxies.service"
WSGI_APPLICATION = "tests.acceptance.proxies.service.application"
USE_TZ = True
DATABASES: dict[str, Any] = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": f"{VAR}/db.sqlite3",
        "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 5},
    }
}
if os.environ.get("EDGE_DATABASE_URL"):
    DATABASES = {"default": dict(dj_database_url.parse(os.environ["EDGE_DATABASE_URL"]))}
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "rest_framework", "securecore"]
MIDDLEWARE = [
    "securecore.http.middleware.ClientCertificateMiddleware",
    "securecore.http.middleware.SessionMiddleware",
    "securecore.http.middleware.AuthenticationMiddleware",
    "securecore.http.middleware.RefusalMiddleware",
]
SESSION_ENGINE = "securecore.sessions"
SECURECORE = {
    "CERTIFICATE_SOURCE": os.environ["SECURECORE_SOURCE"],
    # Over TCP no peer is trusted without the secret, not even on this machine.
    "TRUSTED_PROXIES": ["unix:", "127.0.0.1/32"],
    "PROXY_SECRETS": [os.environ["PROXY_SECRET"]],
    "PROXY_SIGNATURE_KEYS": json.loads(os.environ.get("PROXY_SIGNATURE_KEYS", "[]")),
}

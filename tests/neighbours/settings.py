"""A project with many apps of others: each stands in the settings as its own manual says."""

from __future__ import annotations

import os

from tests.settings import *  # noqa: F403
from tests.settings import INSTALLED_APPS, MIDDLEWARE, REST_FRAMEWORK

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ["NEIGHBOURS_DATABASE"],
        "OPTIONS": {"transaction_mode": "IMMEDIATE", "init_command": "PRAGMA synchronous=OFF"},
    }
}
ROOT_URLCONF = "tests.neighbours.urls"
DEBUG = True
INSTALLED_APPS = [
    *INSTALLED_APPS,
    "axes",
    "channels",
    "debug_toolbar",
    "django.contrib.staticfiles",
    "django_otp",
    "django_otp.plugins.otp_static",
    "django_tasks",
    "drf_spectacular",
    "guardian",
    "oauth2_provider",
    "rest_framework_simplejwt.token_blacklist",
]
_AUTHENTICATION = "securecore.http.middleware.AuthenticationMiddleware"
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "debug_toolbar.middleware.DebugToolbarMiddleware",
    *(name for name in MIDDLEWARE[1:-1]),
    "django_otp.middleware.OTPMiddleware",
    "axes.middleware.AxesMiddleware",
    MIDDLEWARE[-1],
]
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "securecore.http.backends.CertificateBackend",
    "django.contrib.auth.backends.ModelBackend",
    "guardian.backends.ObjectPermissionBackend",
]
AXES_FAILURE_LIMIT = 3
AXES_LOCKOUT_PARAMETERS = ["username"]
AXES_VERBOSE = False
DEBUG_TOOLBAR_CONFIG = {"SHOW_TOOLBAR_CALLBACK": "tests.neighbours.urls.show_toolbar"}
STATIC_ROOT = os.path.join(os.path.dirname(os.environ["NEIGHBOURS_DATABASE"]), "static")
SIMPLE_JWT = {"SIGNING_KEY": "a signing key of simplejwt that only the tests know"}
WHITENOISE_USE_FINDERS = True
TASKS = {"default": {"BACKEND": "django_tasks.backends.immediate.ImmediateBackend"}}
REST_FRAMEWORK = {**REST_FRAMEWORK, "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema"}
SPECTACULAR_SETTINGS = {"OAS_VERSION": "3.1.0"}

"""The settings of the suite, for a server process: the views of ``async_urls`` and a proxy on loopback."""

from __future__ import annotations

from tests.settings import *  # noqa: F403
from tests.settings import SECURECORE

ROOT_URLCONF = "tests.servers.async_urls"
SECURECORE = SECURECORE | {"TRUSTED_PROXIES": ["unix:", "127.0.0.0/8"]}
# Django prints no traceback without DEBUG.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "loggers": {"django.request": {"handlers": ["console"]}},
}

"""The demo's settings for fuzzing in process: no log, no wait for the disk, and a busy database is busy at once."""

from __future__ import annotations

from demo_project.settings import *  # noqa: F403
from demo_project.settings import DATABASES as _DATABASES

DATABASES = _DATABASES
DATABASES["default"]["CONN_MAX_AGE"] = None
DATABASES["default"]["OPTIONS"] |= {
    "timeout": 0.02,
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF",
}
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "loggers": {name: {"level": "CRITICAL", "propagate": False} for name in ("securecore", "django")},
}

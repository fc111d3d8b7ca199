"""The demo's settings, for connections that PgBouncer may change in transaction mode."""

from __future__ import annotations

from demo_project.settings import *  # noqa: F403
from demo_project.settings import DATABASES

DATABASES["default"]["DISABLE_SERVER_SIDE_CURSORS"] = True
DATABASES["default"]["OPTIONS"]["prepare_threshold"] = None

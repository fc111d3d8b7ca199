"""The settings of the chaos service with the views of ``audit_views``."""

from __future__ import annotations

import os

os.environ.setdefault("CHAOS_DATABASE_URL", os.environ.get("TEST_DATABASE_URL") or "sqlite://:memory:")

from tools.chaos.settings import *  # noqa: F403

ROOT_URLCONF = "benchmarks.audit_views"

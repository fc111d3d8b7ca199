from __future__ import annotations

from django.apps import AppConfig


class DemoProjectConfig(AppConfig):
    """Register the management commands demo, seed and tour."""

    name = "demo_project"
    label = "demo_project"

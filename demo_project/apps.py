from __future__ import annotations

from django.apps import AppConfig


class DemoProjectConfig(AppConfig):
    """Installed for its commands: demo, seed and tour."""

    name = "demo_project"
    label = "demo_project"

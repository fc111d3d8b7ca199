from __future__ import annotations

from django.apps import AppConfig, apps


class DemoProjectConfig(AppConfig):
    """Register the management commands demo, seed and tour."""

    name = "demo_project"
    label = "demo_project"

    def ready(self) -> None:
        if apps.is_installed("securecore"):  # the twin has no securecore
            from securecore.identity import encodings

            # The tour presents 200 certificates: with a small cache it shows that the bound holds.
            encodings.parsed.size = 64

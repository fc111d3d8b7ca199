from __future__ import annotations

from django.apps import AppConfig


class DemoProjectConfig(AppConfig):
    """Register the management commands demo, seed and tour."""

    name = "demo_project"
    label = "demo_project"

    def ready(self) -> None:
        from securecore.identity import encodings  # its models load after this module

        # The tour presents 200 certificates: with a small cache it shows that the bound holds.
        encodings.parsed.size = 64

from __future__ import annotations

from django.apps import AppConfig


class SecurecoreConfig(AppConfig):
    name = "securecore"
    verbose_name = "securecore"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Validate the settings, register checks and receivers. Raises ``ImproperlyConfigured``: a service that cannot
        read its own security settings must not start."""
        from securecore import checks, conf
        from securecore.http import receivers

        conf.load()
        checks.register()
        receivers.connect()

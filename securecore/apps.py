"""The Django application: the things that securecore sets up when Django starts."""

from __future__ import annotations

from django.apps import AppConfig, apps
from django.db.backends.signals import connection_created
from django.db.models.signals import post_migrate, pre_migrate


class SecurecoreConfig(AppConfig):
    name = "securecore"
    verbose_name = "securecore"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Validate the settings, and register system checks, receivers, log filters, caching, metrics, triggers and
        functions.

        Raises ``ImproperlyConfigured``: a service that cannot read its own security settings must not start.
        """
        from securecore import checks, conf, django_logs, metrics, server_functions
        from securecore.database import connections, engines
        from securecore.grants import triggers
        from securecore.http import caching
        from securecore.http.edge import receivers as request_receivers
        from securecore.http.sessions import receivers as session_receivers

        if apps.is_installed("drf_spectacular"):
            from securecore.http import openapi  # noqa: F401 - its classes describe securecore's to any AutoSchema
        conf.load()
        checks.register()
        request_receivers.connect()
        session_receivers.connect()
        django_logs.filter_paths()
        caching.connect()
        metrics.connect()
        connection_created.connect(connections.note_role, dispatch_uid="securecore.role")
        pre_migrate.connect(engines.before_migrate, sender=self, dispatch_uid="securecore.engines")
        pre_migrate.connect(triggers.before_migrate, sender=self, dispatch_uid="securecore.triggers")
        post_migrate.connect(triggers.after_migrate, sender=self, dispatch_uid="securecore.triggers")
        post_migrate.connect(server_functions.after_migrate, sender=self, dispatch_uid="securecore.server_functions")

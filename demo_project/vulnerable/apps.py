from __future__ import annotations

from typing import Any

from django.apps import AppConfig, apps
from django.db import connections
from django.db.models.signals import pre_migrate

#: The twin's tables have the same names as the protected service's, so on one PostgreSQL they need their own schema.
SCHEMA = "vulnerable"


class VulnerableConfig(AppConfig):
    name = "demo_project.vulnerable"

    def ready(self) -> None:
        # Django sends this signal once for each app with models, before it creates the first table.
        pre_migrate.connect(_create_schema, sender=apps.get_app_config("payments"))


def _create_schema(*, using: str, **_: Any) -> None:
    connection = connections[using]
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {connection.ops.quote_name(SCHEMA)}")

"""Compare the tables of securecore's models with those of the database."""

from __future__ import annotations

from typing import Any

from django.apps import apps

from securecore.database.connections import connection


def missing_tables() -> set[str]:
    """Return the names of the tables that ``migrate`` has not created."""
    own: Any = apps.get_app_config("securecore").get_models()
    return {model._meta.db_table for model in own} - set(connection().introspection.table_names())

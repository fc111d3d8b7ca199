"""The program of the projects: it runs each column on one project, and prints one JSON object.

``python -m tests.projects.run users/uuid_key`` prints, for each way of DJANGO_PERMISSIONS, the result of each column:
an empty text, ``absent``, or a traceback. ``python -m tests.projects.run settings/no_admin`` does the same for Django's
own user model under other settings, with DJANGO_PERMISSIONS off.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import django

#: For each way of DJANGO_PERMISSIONS, the result of each column.
Results = dict[str, dict[str, str]]
WAYS = ("off", "on")


def main(project: str) -> Results:
    os.environ |= {"DJANGO_SETTINGS_MODULE": "tests.projects.settings", "PROJECT": project}
    with tempfile.TemporaryDirectory(prefix="securecore-project-") as folder:
        (Path(folder) / "project_migrations").mkdir()
        (Path(folder) / "project_migrations" / "__init__.py").touch()
        sys.path.insert(0, folder)
        django.setup()
        return _run(*project.split("/"))


def _run(kind: str, name: str) -> Results:
    from django.conf import settings
    from django.core.management import call_command
    from django.db import connection, connections
    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.models.signals import pre_migrate
    from django.test.runner import DiscoverRunner
    from django.test.utils import override_settings

    from tests.projects.columns import COLUMNS

    ways = WAYS if kind == "users" else WAYS[:1]
    if refusals := _refusals():
        return {way: {"start": refusals} for way in ways}
    if name in settings.MIGRATION_MODULES:
        call_command("makemigrations", name, verbosity=0)
    if connection.vendor == "postgresql":
        pre_migrate.connect(_create_schema)
    for each in connections.all():
        # The checks of Django 6.1 connect. SQLite's own close() keeps a database in memory, and the mirror has another.
        BaseDatabaseWrapper.close(each)
    runner = DiscoverRunner(verbosity=0, interactive=False)
    runner.setup_test_environment()
    databases = runner.setup_databases()
    try:
        results: Results = {}
        for way in ways:
            with override_settings(SECURECORE=settings.SECURECORE | {"DJANGO_PERMISSIONS": way == "on"}):
                call_command("migrate", verbosity=0)
                results[way] = {column.__name__: _result(column) for column in COLUMNS}
        return results
    finally:
        connections.close_all()
        runner.teardown_databases(databases)


def _create_schema(*, using: str, **_: Any) -> None:
    """Create the schema of the project ``schema_table``, as its database administrator does."""
    from django.db import connections

    with connections[using].cursor() as cursor:
        cursor.execute("CREATE SCHEMA IF NOT EXISTS legacy")


def _refusals() -> str:
    """Return the ids of the errors with which securecore refuses the project at start, before it reads a database."""
    from django.core.checks import ERROR, run_checks

    found = [problem for problem in run_checks() if problem.level >= ERROR]
    assert all(str(problem.id).startswith("securecore.") for problem in found), found
    return ", ".join(str(problem.id) for problem in found)


def _result(column: Callable[[], Any]) -> str:
    from django.contrib.auth import get_user_model
    from django.db import connections

    from tests.support.deletion import delete_rows

    try:
        return column() or ""
    except BaseException:
        return traceback.format_exc()
    finally:
        for each in connections.all():
            if not each.settings_dict["TEST"]["MIRROR"]:
                delete_rows(each)
                if _delete_from_other_schemas(get_user_model(), each.alias):
                    delete_rows(each)


def _delete_from_other_schemas(users: Any, alias: str) -> bool:
    """Delete the rows of users in a schema that ``delete_rows`` does not see, and say whether there is such a schema.

    The triggers of these tables write to securecore's tables.
    """
    is_elsewhere = '"' in users._meta.db_table
    if is_elsewhere:
        for model in (*(field.remote_field.through for field in users._meta.many_to_many), users):
            model._base_manager.all()._raw_delete(alias)
    return is_elsewhere


if __name__ == "__main__":
    with contextlib.redirect_stdout(sys.stderr):  # commands of the columns print too
        printed = main(sys.argv[1])
    print(json.dumps(printed))

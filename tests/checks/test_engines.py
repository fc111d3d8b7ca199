"""MySQL, MariaDB and Oracle are refused by a numbered error, with Django's real backends and the real drivers.

Each command runs in a new process, since a process opens the databases that its settings name at the start. No
database answers: the engine is refused before anything connects to it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.tree import ROOT

SETTINGS = """
from tests.settings import *
{driver}
DATABASES = {{"default": {{"ENGINE": "django.db.backends.{engine}", "NAME": "x", "HOST": "127.0.0.1", "PORT": "1"}}}}
"""
#: PyMySQL takes the place of mysqlclient, which needs a compiler. Django 6 demands its version. Django's own check of
#: models asks the server for its version, and no server runs here.
DRIVERS = {
    "mysql": "import pymysql; pymysql.version_info = (2, 2, 7, 'final', 0); pymysql.install_as_MySQLdb()\n"
    "from django.db.backends.mysql.base import DatabaseWrapper\n"
    "DatabaseWrapper.mysql_server_data = dict(version='8.4.0', sql_mode='', default_storage_engine='InnoDB')",
    "oracle": "",
}

pytestmark = pytest.mark.parametrize("engine", DRIVERS)


def run(folder: Path, engine: str, *command: str) -> str:
    """Run a command that must fail; return its last words."""
    (folder / "engine_settings.py").write_text(SETTINGS.format(engine=engine, driver=DRIVERS[engine]))
    paths = [str(folder), str(ROOT), str(ROOT / "client"), str(ROOT / "scanner")]
    environ = os.environ | {"DJANGO_SETTINGS_MODULE": "engine_settings", "PYTHONPATH": os.pathsep.join(paths)}
    ran = subprocess.run(
        [sys.executable, *command], cwd=folder, env=environ, capture_output=True, text=True, check=False
    )
    assert ran.returncode != 0
    return ran.stderr


def test_engine_is_refused_by_check(engine: str, tmp_path: Path) -> None:
    said = run(tmp_path, engine, "-m", "django", "check")
    assert "(securecore.E901)" in said
    assert "HINT: Keep securecore's tables" in said
    assert "Traceback" not in said


def test_engine_is_refused_by_migrate_without_checks(engine: str, tmp_path: Path) -> None:
    """``migrate`` sends this signal before it creates the first table."""
    program = (
        "import django; django.setup(); from django.apps import apps; from django.db.models.signals import pre_migrate;"
        "pre_migrate.send(apps.get_app_config('securecore'), using='default')"
    )
    assert "ImproperlyConfigured: securecore.E901" in run(tmp_path, engine, "-c", program)


@pytest.mark.parametrize("application", ["wsgi.get_wsgi_application", "asgi.get_asgi_application"])
def test_engine_is_refused_by_a_server_at_its_start(engine: str, application: str, tmp_path: Path) -> None:
    module, name = application.split(".")
    program = f"from django.core.{module} import {name}; {name}()"
    assert "ImproperlyConfigured: securecore.E901" in run(tmp_path, engine, "-c", program)

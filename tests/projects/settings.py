"""Settings of the projects: those of the suite, with one thing changed by the variable ``PROJECT``.

``PROJECT`` names a user model (``users/uuid_key``) or other settings (``settings/no_time_zones``).

``run`` chooses the project by the environment, since Django reads its settings once in a process.
"""

from __future__ import annotations

import os

from tests.projects.variants import VARIANTS
from tests.settings import *  # noqa: F403
from tests.settings import DATABASES, INSTALLED_APPS, MIDDLEWARE

_KIND, _, _NAME = os.environ.get("PROJECT", "users/plain").partition("/")
USERS = _NAME if _KIND == "users" else "plain"
#: The packages that an app of users needs.
_NEEDS = {"polymorphic_users": ["polymorphic"]}

INSTALLED_APPS = [name for name in INSTALLED_APPS if not name.startswith("allauth")]
if USERS != "plain":
    INSTALLED_APPS += [*_NEEDS.get(USERS, []), f"tests.projects.users.{USERS}"]
    AUTH_USER_MODEL = f"{USERS}.User"
    #: ``makemigrations`` writes them before the databases are created.
    MIGRATION_MODULES = {USERS: f"project_migrations.{USERS}"}
MIDDLEWARE = [name for name in MIDDLEWARE if not name.startswith("allauth")]
# About servers that are installed beside the suite.
SILENCED_SYSTEM_CHECKS = ["securecore.W105"]
ROOT_URLCONF = "tests.projects.urls"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
# Each process has a database of its own beside those of the suite.
DATABASES["default"]["TEST"] = {"NAME": f"project_{_NAME}_{os.getpid()}"}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    DATABASES["default"]["TEST"] = {}
if _KIND == "settings":
    VARIANTS[_NAME].change(globals())

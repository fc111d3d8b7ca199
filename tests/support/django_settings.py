"""The settings for Django's own suites: as little as possible beside securecore's engine."""

from __future__ import annotations

import sys
import unittest
import warnings
from collections.abc import Iterable
from typing import Any

from django.apps import apps
from django.conf import settings
from django.test.runner import DiscoverRunner

from tests.settings import DATABASES as OURS

DATABASES = {"default": OURS["default"], "other": dict(OURS["default"])}
if OURS["default"]["ENGINE"] != "django.db.backends.sqlite3":
    DATABASES["other"] = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
SECRET_KEY = "for Django's own tests"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
USE_TZ = True
TIME_ZONE = "UTC"
SESSION_ENGINE = "securecore.sessions"
#: Django's tests expect the age of Django's cookie; securecore's cookie ends with the absolute timeout at the latest.
SECURECORE = {"SESSION_ABSOLUTE_TIMEOUT": 1_209_600}
TEST_RUNNER = "tests.support.django_settings.Runner"

#: The tests of password hashing: 100 of the 120 seconds of all four suites with Django 6.1.
_OF_NO_SESSION = "auth_tests.test_hashers."

# runtests.py reads the settings first, and then sets INSTALLED_APPS and MIDDLEWARE to these lists.
_runtests: Any = sys.modules["__main__"]
if hasattr(_runtests, "ALWAYS_INSTALLED_APPS"):
    _runtests.ALWAYS_INSTALLED_APPS.append("securecore")
    _runtests.ALWAYS_MIDDLEWARE[0] = "securecore.http.middleware.SessionMiddleware"


class Runner(DiscoverRunner):
    """Django's runner, with securecore installed and Django's database engine of sessions replaced by securecore's."""

    def build_suite(self, test_labels: Any = None, **kwargs: Any) -> Any:
        from tests.support.django_engine import EXCEPTIONS, substitute  # needs the apps

        # Two fixtures of Django hold naive times.
        warnings.filterwarnings("ignore", message=".*received a naive datetime", category=RuntimeWarning)
        if apps.is_installed("sessions_tests"):
            substitute()
        suite = super().build_suite(test_labels, **kwargs)
        names = [name.replace("Tests", f"{more}Tests") for name in EXCEPTIONS for more in ("", "WithTimeZone")]
        return self.test_suite(
            test
            for test in _tests(suite)
            if not test.id().startswith(_OF_NO_SESSION) and not any(test.id().endswith(f".{name}") for name in names)
        )

    def run_checks(self, databases: Any) -> None:
        """Run no check: there is no proxy and no certificate here, which securecore's checks would rightly report."""

    def setup_databases(self, **kwargs: Any) -> Any:
        settings.MIGRATION_MODULES = {**settings.MIGRATION_MODULES, "securecore": None}
        return super().setup_databases(**kwargs)


def _tests(suite: Any) -> Iterable[unittest.TestCase]:
    for each in suite:
        if isinstance(each, unittest.TestSuite):
            yield from _tests(each)
        else:
            yield each

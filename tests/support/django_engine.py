"""securecore's engine and middleware in place of Django's, for Django's own tests (see
tests/support/django_suites.py).
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from django.contrib.sessions.backends import cached_db, db  # noqa: F401  # the cached one keeps Django's own

from securecore.http.middleware import SessionMiddleware
from securecore.sessions import Session, SessionStore

#: The Django tests that contradict a promise of securecore, and which promise. All others must pass.
EXCEPTIONS = {
    "LoginTest.test_session_key_flushed_on_login_after_password_change": "the id survives a login of the same user; "
    "ours never does (ASVS 5.0 v5.0.0-7.2.4)",
    **dict.fromkeys(
        ("UUIDUserTests.test_login", "UUIDUserTests.test_alogin", "UUIDUserTests.test_admin_password_change"),
        "the user model is swapped while Django runs; our row's foreign key is made for the one it started with",
    ),
    "DatabaseSessionTests.test_session_str": "a row says its id; ours holds only a digest of it",
    "DatabaseSessionTests.test_sessionmanager_save": "a row is written by the id it says; ours holds only a digest",
}


def substitute() -> None:
    """Put securecore's engine and middleware in place of Django's, in the tests of Django's database engine."""
    import_module("sessions_tests.models")  # and in place of a custom engine that is derived from Django's
    theirs, db.SessionStore = db.SessionStore, SessionStore  # type: ignore[assignment,misc]
    suite = import_module("sessions_tests.tests")
    db.SessionStore = theirs  # type: ignore[misc]
    suite.SessionMiddleware = SessionMiddleware  # type: ignore[attr-defined]
    suite.Session = Rows  # type: ignore[attr-defined]
    tests: Any = suite.DatabaseSessionTests
    suite.CustomDatabaseSessionTests.model = tests.model
    tests.session_engine, tests.model = "securecore.sessions", Rows


class Rows:
    """securecore's table behind the interface of Django's, for tests that read the table."""

    class objects:
        count = staticmethod(lambda: Session.objects.count())
        acount = staticmethod(lambda: Session.objects.acount())

        @staticmethod
        def get(session_key: str) -> Any:
            row: Any = Session.objects.named(session_key).get()
            row.get_decoded = lambda: SessionStore().decode(row.data)
            return row

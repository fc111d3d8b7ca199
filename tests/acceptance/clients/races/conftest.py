"""As in tests/races: not on SQLite, and a skip is a failure."""

from __future__ import annotations

from tests.races.conftest import _real_database, pytest_runtest_makereport

__all__ = ["_real_database", "pytest_runtest_makereport"]

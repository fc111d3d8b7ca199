"""The rules of tests/races: these tests need PostgreSQL, and a skip is a failure."""

from __future__ import annotations

from tests.races.conftest import _real_database, pytest_runtest_makereport

__all__ = ["_real_database", "pytest_runtest_makereport"]

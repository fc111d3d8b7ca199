"""Every promise of the table in docs/compatibility.md, on real projects with a user model or settings of their own.

``make test`` runs a few projects on each database, ``make matrix`` all of them (SECURECORE_EVERY_PROJECT).
"""

from __future__ import annotations

import os

import pytest
from django.db import connection

from tests.projects.catalogue import Project, results, settings, users
from tools.compatibility import NOT_RUN, cells_of

#: The projects of ``make test`` on each database: those with the worst faults.
FEW = {
    "sqlite": {"settings/replica", "users/multi_table_uuid", "users/own_groups", "settings/no_admin"},
    "postgresql": {"users/multi_table", "users/db_columns", "settings/login_required"},
}
_IS_WHOLE = bool(os.environ.get("SECURECORE_EVERY_PROJECT"))


def _named(projects: list[Project]) -> list[object]:
    return [pytest.param(project, id=project.name.partition("/")[2]) for project in projects]


@pytest.mark.django_db
@pytest.mark.parametrize("project", _named([*users(), *settings()]))
def test_each_promise_holds(project: Project, request: pytest.FixtureRequest) -> None:
    is_named = any(project.name.partition("/")[2] in argument for argument in request.config.args)
    if not (_IS_WHOLE or is_named or project.name in FEW[connection.vendor]):
        pytest.skip("make matrix runs this project")
    if connection.vendor not in project.databases:
        assert cells_of(project)[connection.vendor, "off"] == NOT_RUN
        return
    if project.lacks:
        pytest.skip(f"{', '.join(project.lacks)} is not installed")
    documented = {way: cells_of(project)[connection.vendor, way] for way in project.ways}
    assert results(project) == documented, "write the table: python -m tools.compatibility"


def test_table_has_a_row_for_every_project() -> None:
    assert [project.name for project in (*users(), *settings()) if not cells_of(project)] == []

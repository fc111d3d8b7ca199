"""The trial of the leases, with the connections of other processes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.deployment.conftest import database, prove
from tests.support.postgres import Server


@pytest.fixture
def naming(postgres: Server) -> Iterator[str]:
    """A deployment in which this process names its lease; the address for the other processes."""
    with database(postgres.url, application_name="pay lease=0"):
        yield postgres.url


def test_processes_that_name_one_lease_have_one(naming: str) -> None:
    with psycopg.connect(naming, application_name="pay lease=0 host-2"):
        report = prove("P701")
    assert report.outcomes == {"P701": "kept"}, report
    assert "names lease=0" in report.details["P701"]


def test_a_process_with_another_lease_is_found(naming: str) -> None:
    with psycopg.connect(naming, application_name="pay lease=200"):
        report = prove("P701")
    assert (report.code, report.outcomes) == (1, {"P701": "broken"}), report
    assert "LEASE_MS=0 here, and other connections name 200" in report.details["P701"]


@pytest.mark.parametrize("name", ["", "psql", "pay release=7"])
def test_a_process_that_names_none_proves_nothing(naming: str, name: str) -> None:
    with psycopg.connect(naming, application_name=name):
        report = prove("P701")
    assert (report.code, report.outcomes) == (0, {"P701": "not provable"}), report
    assert "1 connections name no lease" in report.details["P701"]


@pytest.fixture
def assumed(postgres: Server) -> Iterator[str]:
    """A role without login that this process assumes (``assume_role``)."""
    with psycopg.connect(postgres.url, autocommit=True, application_name="lease=0") as superuser:
        superuser.execute("CREATE ROLE assumed")
        superuser.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO assumed")
        try:
            with database(postgres.url, application_name="pay lease=0", assume_role="assumed"):
                yield postgres.url
        finally:
            superuser.execute("DROP OWNED BY assumed")
            superuser.execute("DROP ROLE assumed")


@pytest.mark.parametrize(("other", "outcome"), [(0, "kept"), (200, "broken")])
def test_processes_that_assume_a_role_are_found_by_the_role_of_their_login(
    assumed: str, other: int, outcome: str
) -> None:
    with psycopg.connect(assumed, application_name=f"pay lease={other}"):
        report = prove("P701")
    assert report.outcomes == {"P701": outcome}, report
    assert "each of 0 connections" not in report.details["P701"]


def test_a_name_that_postgresql_cut_off_names_no_lease(postgres: Server, settings: Any) -> None:
    """PostgreSQL keeps 63 bytes of a name, here up to ``lease=20`` of ``lease=200``."""
    settings.SECURECORE = {**settings.SECURECORE, "LEASE_MS": 200}
    with database(postgres.url, application_name=f"{'x' * 54} lease=200"):
        report = prove("P701")
    assert report.outcomes == {"P701": "not provable"}, report


def test_a_deployment_that_names_none_proves_nothing(postgres: Server, settings: Any) -> None:
    with database(postgres.url):
        assert prove("P701").outcomes == {"P701": "not provable"}

"""Each test runs in ``make test``: on both databases, or on the one that tests/support/databases.py names."""

from __future__ import annotations

import re

import pytest

from tests.support.databases import ONLY_IN_MATRIX, ONLY_ON_POSTGRESQL, ONLY_ON_SQLITE, only_database
from tests.support.distribution import TOGETHER, unit_of
from tests.support.tree import ROOT


@pytest.mark.parametrize("beginning", [*ONLY_ON_SQLITE, *ONLY_ON_POSTGRESQL, *ONLY_IN_MATRIX])
def test_entry_names_tests_that_exist(beginning: str) -> None:
    path, _, name = beginning.partition("::")
    assert (ROOT / "tests" / path).exists()
    definition = name.partition("[")[0]
    assert not name or re.search(rf"^(def|class) {definition}", (ROOT / "tests" / path).read_text(), re.MULTILINE)


def test_no_test_is_left_out_of_both() -> None:
    for one, others in ((ONLY_ON_SQLITE, ONLY_ON_POSTGRESQL), (ONLY_ON_POSTGRESQL, ONLY_ON_SQLITE)):
        assert not [each for each in one if each.startswith(tuple(others))]


def test_races_run_on_postgresql() -> None:
    assert only_database("tests/races/test_races.py::test") == ""
    assert only_database("tests/acceptance/clients/races/test_refresh_race.py::test") == "postgresql"


def test_files_with_the_same_slow_fixtures_are_one_unit() -> None:
    assert unit_of("tests/acceptance/proxies/test_nginx.py::test_a") == "acceptance/proxies/"
    assert unit_of("tests/acceptance/test_scan.py::test_a") == unit_of("tests/acceptance/test_identity.py::test_a")
    assert unit_of("tests/acceptance/test_demo.py::test_a") == "tests/acceptance/test_demo.py"
    for beginning in (each for files in TOGETHER for each in files):
        assert [*(ROOT / "tests").glob(f"{beginning}*")], beginning

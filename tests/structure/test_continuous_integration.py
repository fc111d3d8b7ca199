"""The hosted CI runs every version that pyproject.toml promises, and nothing that cannot be installed."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest
import yaml

from tests.support.postgres import OPTIONS
from tests.support.tree import ROOT, files, relative

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
WORKFLOW: dict[Any, Any] = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
HOOKS: dict[str, Any] = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())

#: Django 6.0 and 6.1 need Python 3.12 (their Requires-Python), Django 6.1 needs PostgreSQL 15 (its
#: DatabaseFeatures.minimum_database_version).
OLD_PYTHON = [{"python": "3.11", "django": django} for django in ("6.0", "6.1")]
OLD_POSTGRESQL = [{"django": "6.1", "postgresql": "14"}]


def matrix_of(job: str) -> dict[str, Any]:
    matrix: dict[str, Any] = WORKFLOW["jobs"][job]["strategy"]["matrix"]
    return matrix


def classified(prefix: str) -> list[str]:
    """Return the versions that the classifiers name behind ``prefix``."""
    found = (re.fullmatch(rf"{re.escape(prefix)} :: (\d+\.\d+)", each) for each in PROJECT["classifiers"])
    return [match[1] for match in found if match]


@pytest.mark.parametrize("job", ["sqlite", "postgresql"])
def test_matrix_has_the_versions_that_the_package_promises(job: str) -> None:
    assert matrix_of(job)["python"] == classified("Programming Language :: Python")
    assert matrix_of(job)["django"] == classified("Framework :: Django")


def test_matrix_begins_with_the_oldest_that_can_be_installed() -> None:
    assert PROJECT["requires-python"] == f">={matrix_of('sqlite')['python'][0]}"
    django = next(each for each in PROJECT["dependencies"] if each.startswith("Django>="))
    assert django.startswith(f"Django>={matrix_of('sqlite')['django'][0]}.")


def test_make_installs_the_oldest_django() -> None:
    assert f"OLDEST_DJANGO := Django=={matrix_of('sqlite')['django'][0]}.*" in (ROOT / "Makefile").read_text()


def test_room_for_connections_is_the_same_everywhere() -> None:
    assert f"max_connections = {OPTIONS['max_connections']}" in (ROOT / ".github/workflows/ci.yml").read_text()
    assert f"room for {OPTIONS['max_connections']} connections" in (ROOT / "CONTRIBUTING.md").read_text()


def test_races_are_named_in_the_run_on_postgresql() -> None:
    """A folder that is named fails without PostgreSQL; one that is found is left out."""
    races = {relative(path) for path in (ROOT / "tests").rglob("races") if path.is_dir()}
    recipe = (ROOT / "Makefile").read_text().partition("\ntest-postgresql:")[2].partition("\n\n")[0]
    assert len(races) == 2
    assert all(f" {folder}" in recipe for folder in races)


def test_matrix_leaves_out_impossible_pairs_only() -> None:
    assert matrix_of("sqlite")["exclude"] == OLD_PYTHON
    assert matrix_of("postgresql")["exclude"] == OLD_PYTHON + OLD_POSTGRESQL


def test_contributors_are_told_the_same_versions_of_postgresql() -> None:
    versions = matrix_of("postgresql")["postgresql"]
    assert versions == [str(version) for version in range(int(versions[0]), int(versions[-1]) + 1)]
    for page in ("CONTRIBUTING.md", "SECURITY.md"):
        assert f"PostgreSQL {versions[0]} to {versions[-1]}" in (ROOT / page).read_text(), page


def test_every_target_of_make_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    steps = [step.get("run", "") for job in WORKFLOW["jobs"].values() for step in job["steps"]]
    targets = {target for run in steps for target in re.findall(r"\bmake (\w[\w-]*)", run)}
    targets |= set(matrix_of("weekly")["target"])
    assert {"matrix", "coverage", "soak", "sabotage"} <= targets
    assert not [target for target in targets if not re.search(rf"^{target}:", makefile, re.MULTILINE)]


def test_every_action_is_pinned_by_commit() -> None:
    used = [step["uses"] for job in WORKFLOW["jobs"].values() for step in job["steps"] if "uses" in step]
    assert used
    assert not [action for action in used if not re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40}", action)]


def test_hooks_fetch_nothing() -> None:
    assert [repository["repo"] for repository in HOOKS["repos"]] == ["local"]
    assert all(hook["language"] == "system" for hook in HOOKS["repos"][0]["hooks"])


def test_every_yaml_file_can_be_read() -> None:
    found = [path for suffix in (".yml", ".yaml") for path in files(suffix)]
    assert ".github/workflows/ci.yml" in map(relative, found)
    for path in found:
        list(yaml.safe_load_all(path.read_text()))

"""A release builds the same bytes twice, and its statements are about these bytes."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from tests.support.tree import ROOT
from tools import release


@pytest.fixture
def a_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that decide whether a release is ready."""
    (tmp_path / "docs" / "releases").mkdir(parents=True)
    (tmp_path / "docs" / "releases" / f"{release.VERSION}.md").write_text("notes")
    (tmp_path / "CHANGELOG.md").write_text(f"# Changelog\n\n## {release.VERSION} (2026-12-01)\n")
    (tmp_path / "pyproject.toml").write_text('Source = "https://git.example/securecore"')
    monkeypatch.setattr(release, "ROOT", tmp_path)
    monkeypatch.setattr(release, "git", lambda *arguments: "")
    return tmp_path


def test_tree_is_ready(a_tree: Path) -> None:
    assert release.unready() == []


def test_reasons_against_a_release(a_tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (a_tree / "CHANGELOG.md").write_text(f"# Changelog\n\n## {release.VERSION} (unreleased)\n")
    (a_tree / "docs" / "releases" / f"{release.VERSION}.md").unlink()
    (a_tree / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    monkeypatch.setattr(release, "git", lambda *arguments: "something")
    reasons = "\n".join(release.unready())
    for word in ("git status", "the tag", "CHANGELOG.md", "notes of the release", "placeholder"):
        assert word in reasons


def test_notes_of_the_version_are_written() -> None:
    assert (ROOT / "docs" / "releases" / f"{release.VERSION}.md").exists()


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="the instant of a build is that of the commit")
def test_two_builds_are_the_same_bytes(tmp_path: Path) -> None:
    first, second = (
        {file.name: release.digest(file) for file in release.build(tmp_path / name)} for name in ("first", "second")
    )
    assert first == second
    assert len(first) == 6


def test_provenance_names_each_file_and_the_commit(tmp_path: Path) -> None:
    (tmp_path / "a.whl").write_bytes(b"a wheel")
    statement = release.provenance([tmp_path / "a.whl"], commit="c0ffee", now=dt.datetime(2026, 12, 1, tzinfo=dt.UTC))
    assert statement["subject"] == [{"name": "a.whl", "digest": {"sha256": release.digest(tmp_path / "a.whl")}}]
    assert "c0ffee" in str(statement["predicate"])

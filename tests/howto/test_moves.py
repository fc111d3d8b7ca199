"""The pages about moves, each in a project of the real package, with a client that holds a token of before the move."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.howto.following import outcome_of
from tests.howto.moves import MOVES


def followed(name: str, folder: Path) -> dict[str, Any]:
    """Return the responses after each step of the page of this package."""
    return outcome_of("tests.howto.program", name, str(folder))


@pytest.mark.parametrize("name", MOVES)
def test_page_moves_a_project_with_a_live_client(name: str, tmp_path: Path) -> None:
    steps = followed(name, tmp_path)
    for step in ("beside, before the page changes it", "beside"):
        seen = steps[step]
        assert seen["without a certificate"] == "alice", (step, seen)
        assert seen["under her certificate"] == "alice", (step, seen)
        assert seen["under another's"] == "401 credentials-conflict", (step, seen)
    assert steps["after"]["without a certificate"] == f"401 {MOVES[name].after}", steps
    for step in ("beside", "after"):
        seen = steps[step]
        assert (seen["certificate alone"], seen["new token"]) == ("alice", "alice"), (step, seen)
        assert seen["stolen new token"] == "401 invalid-token", (step, seen)
        assert "securecore." not in seen["check"], (step, seen)

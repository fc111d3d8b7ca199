"""The pages about moves, each in a project of the real package, with a client that holds a token of before the move."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.howto.moves import MOVES
from tests.support.tree import ROOT


def followed(name: str, folder: Path) -> dict[str, Any]:
    """Return the responses after each step of the page of this package."""
    run = subprocess.run(
        [sys.executable, "-m", "tests.howto.program", name, str(folder)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "client")))},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return dict(json.loads(run.stdout.splitlines()[-1]))


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
